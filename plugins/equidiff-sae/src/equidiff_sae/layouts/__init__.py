"""Readers of the layouts that autoencoders are published in: settings, and tensors under Prisma's names."""
