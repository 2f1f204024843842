#!/bin/bash
# Features of a collection as an array of jobs: each takes every N-th video, into one folder.
# Submit it again, with any number of jobs, and it goes on where it was.
#
#     sbatch --array=1-16 examples/slurm/array.sh slowfast_r50 /data/videos /data/features
#SBATCH --job-name=ptv-features
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=08:00:00
set -euo pipefail
model=$1 videos=$2 out=$3
exec ptv-hub features "$model" "$videos" -o "$out" \
  --window 32 --stride 16 --fps 30 \
  --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
  --workers "$((SLURM_CPUS_PER_TASK / 2))"
