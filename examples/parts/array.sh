#!/usr/bin/env bash
# One part of a run for each task of a SLURM array: sbatch --array=1-4 array.sh FOLDER
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail
part=$1/part-$SLURM_ARRAY_TASK_ID

if [ -e "$part/run.json" ]; then # the task was requeued: go on where it stopped
  equidiff run --resume "$part"
else
  equidiff run --generator toy:circles --objective neuron:17 --samples 64 \
    --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --out "$part"
fi
code=$?
[ $code -eq 3 ] && code=0 # some samples are not members: that is a result, too
exit $code
