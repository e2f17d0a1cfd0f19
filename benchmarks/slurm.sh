#!/usr/bin/env bash
# A SLURM of one node on this machine, as the user who starts it, in a folder of its own:
#   . benchmarks/slurm.sh start FOLDER     sets SLURM_CONF in this shell, so that sbatch and squeue find it
#   benchmarks/slurm.sh stop FOLDER
# Needs Debian's packages slurm-wlm and munge.
start() {
  mkdir -p "$1"/{state,spool,log,munge} && chmod 700 "$1/munge"
  head -c 1024 /dev/urandom > "$1/munge/key" && chmod 400 "$1/munge/key"
  munged --force --key-file="$1/munge/key" --socket="$1/munge/socket" --pid-file="$1/munge/pid" \
    --log-file="$1/munge/log" --seed-file="$1/munge/seed"
  local host; host=$(hostname -s)
  cat > "$1/slurm.conf" <<CONF
ClusterName=bench
SlurmctldHost=$host(localhost)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$1/munge/socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
JobRequeue=1
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$1/state
SlurmdSpoolDir=$1/spool
SlurmctldPidFile=$1/slurmctld.pid
SlurmdPidFile=$1/slurmd.pid
SlurmctldLogFile=$1/log/slurmctld.log
SlurmdLogFile=$1/log/slurmd.log
MinJobAge=30
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(($(awk '/MemTotal/ {print $2}' /proc/meminfo) / 1024 - 512)) State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=60 State=UP
CONF
  export SLURM_CONF=$1/slurm.conf
  slurmctld -c && slurmd -c
  for _ in $(seq 60); do sinfo -h -o %t 2>/dev/null | grep -q idle && return 0; sleep 0.5; done
  sinfo; tail -n 5 "$1"/log/*.log; return 1
}
stop() {
  for service in slurmd.pid slurmctld.pid munge/pid; do [ -f "$1/$service" ] && kill "$(cat "$1/$service")"; done
  return 0
}
"$@"
