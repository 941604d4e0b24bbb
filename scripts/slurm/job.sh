# shellcheck shell=bash
# The batch scripts beside this one source it. It keeps a fit or a sweep alive as a Slurm job.
#
# Slurm may stop a job (its time limit is near, another job takes its nodes), or a job may lose a
# node, any number of times. It keeps what it can, is queued again, and goes on from there: a fit
# from its newest checkpoint, a sweep from what its folder keeps. The result has the
# bits of an undisturbed job. It stops for good when it is done, when an error would only come
# again, and when starts no longer get further.
#
# The script sets `verb` to sweep for a sweep. Variables of the user: PARTWISE (the program), LAUNCH, TRIES,
# STAGE. `job_init` sets: job, program, store, result, checkpoint (of a fit), starts (a file that
# notes how far each start had come at its beginning), arguments, ranks, ranks_a_node, cores (those
# that Slurm counts, which on some clusters are hardware threads).

say() { printf '== %s\n' "$*"; }

# stop CODE MESSAGE…
stop() {
  local code=$1
  shift
  printf '== stopped (exit code %s): %s\n' "$code" "$*" >&2
  exit "$code"
}

# patiently COMMAND…: runs it up to three times; a Slurm that is busy or restarts answers a moment
# later.
patiently() {
  "$@" 2>/dev/null || { sleep 5 && "$@" 2>/dev/null; } || { sleep 20 && "$@"; }
}

# value_of "-o --output" ARGUMENT…: prints the value of an option, or nothing.
value_of() {
  local names=" $1 "
  shift
  while [ $# -gt 0 ]; do
    if [[ $names == *" ${1%%=*} "* ]]; then
      if [[ $1 == -*=* ]]; then echo "${1#*=}"; else echo "${2-}"; fi
      return
    fi
    shift
  done
}

# job_init STORE [OPTION OF THE VERB…]
job_init() {
  # Without a trap, an early signal would end this script, and the job with it.
  asked=
  trap 'asked=yes' USR1 TERM
  verb=${verb:-fit} checkpoint=
  [ -n "${SLURM_JOB_ID:-}" ] || stop 2 "this is a batch script: sbatch -N 4 $0 STORE.pw -k 20 (its first lines explain more)"
  [[ $# -gt 0 && $1 != -* ]] || stop 2 "the store comes first, options of \`partwise $verb\` after it"
  # A task of an array by its full name, since its plain number may be that of the whole array.
  job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID:-}}
  job=${job:-$SLURM_JOB_ID}
  program=$(command -v "${PARTWISE:-partwise}") || stop 66 "no program ${PARTWISE:-partwise} on $(hostname): put it into PATH, or set PARTWISE to its path"
  store=${1%/}
  shift
  [ -e "$store/manifest.json" ] || stop 66 "$store: no finished store on $(hostname) (partwise convert FILE.h5ad -o STORE.pw makes one)"
  result=$(value_of "-o --output" "$@")
  arguments=("$@")
  if [ "$verb" = sweep ]; then
    # The folder holds what is done, and the same command goes on.
    [ -n "$result" ] || { result=${store%.*}.sweep && arguments+=(-o "$result"); }
    result=${result%/}
    starts=$result.starts
  else
    checkpoint=$(value_of "--checkpoint" "$@")
    [ -n "$result" ] || { result=${store%.*}.nmf.h5ad && arguments+=(-o "$result"); }
    [ -n "$checkpoint" ] || { checkpoint=${result%.h5ad}.checkpoint && arguments+=(--checkpoint "$checkpoint"); }
    [[ " $* " == *" --resume "* ]] || arguments+=(--resume)
    starts=$checkpoint.starts
  fi

  ranks=${SLURM_NTASKS:-1}
  ranks_a_node=$(((ranks + SLURM_JOB_NUM_NODES - 1) / SLURM_JOB_NUM_NODES))
  local smallest # of the nodes, where they differ: 64(x2),32
  smallest=$(tr , '\n' <<<"${SLURM_JOB_CPUS_PER_NODE:-$SLURM_CPUS_ON_NODE}" | sed 's/(.*//' | sort -n | head -n 1)
  cores=${SLURM_CPUS_PER_TASK:-$((smallest / ranks_a_node))}
  [ "$cores" -gt 0 ] || cores=1
  [ -n "$(value_of "--threads" "$@")" ] || arguments+=(--threads "$cores")
  # The memory requested from Slurm, less a tenth for the launcher and MPI. Without a request the
  # program takes the memory of machine and cgroup.
  local memory=${SLURM_MEM_PER_NODE:-$((${SLURM_MEM_PER_CPU:-0} * cores * ranks_a_node))} # MiB
  if [ "$memory" -gt 0 ] && [ -z "$(value_of "--memory" "$@")" ]; then
    arguments+=(--memory "$((memory * 9 / 10 / ranks_a_node))M")
  fi
}

# passes_in FOLDER: the pass after which its newest whole checkpoint was made; 0 if there is none.
passes_in() {
  local found
  found=$(tr ",{" "\n" 2>/dev/null <"$1/manifest.json" | sed -n 's/^ *"passes" *: *\([0-9][0-9]*\).*/\1/p' | head -1)
  echo "${found:-0}"
}

# A group of replicates that is done counts for more passes than groups under way can have made.
group=1000000

# A number that grows as the job gets on: the passes of a fit, or those of the groups of replicates under
# way and the groups that are done.
progress() {
  [ "$verb" = sweep ] || { passes_in "$checkpoint"; return; }
  local done_groups folder sum=0
  done_groups=$(find "$result/replicates" -name 'k*.from*.h5ad' 2>/dev/null | wc -l)
  for folder in "$result"/unfinished/k*.from*/; do
    sum=$((sum + $(passes_in "$folder")))
  done
  echo $((done_groups * group + sum))
}

# reached NUMBER: how far the job has come, in words.
reached() {
  if [ "$verb" = sweep ]; then
    echo "$(($1 / group)) groups of replicates and $(($1 % group)) passes of others"
  else
    echo "pass $1"
  fi
}

# The number of starts, counted back from the last, that began with the progress $1.
starts_at() { awk -v at="$1" '$1 == at { n++; next } { n = 0 } END { print n + 0 }' "$starts" 2>/dev/null || echo 0; }

# Counts a start. One rule bounds all starts, also those after lost nodes, which Slurm queues again
# by itself: passes are finite, so only a job that begins at the same one again and again
# could go on for ever.
job_start() {
  local now tries=${TRIES:-3}
  [ "${SLURM_RESTART_COUNT:-0}" != 0 ] || rm -f "$starts"
  now=$(progress)
  say "job $job, start $((${SLURM_RESTART_COUNT:-0} + 1)), $(date '+%F %T'): $ranks ranks × $cores cores on $SLURM_JOB_NODELIST"
  say "store $store, result $result${checkpoint:+, checkpoint $checkpoint} ($(reached "$now"))"
  if [ "$(starts_at "$now")" -ge "$tries" ]; then
    stop 76 "$tries starts ended before they got beyond $(reached "$now"); their messages are above (TRIES sets the number)"
  fi
  mkdir -p "$(dirname "$starts")"
  echo "$now $job $SLURM_JOB_NODELIST" >>"$starts"
}

# Sets `launch`, the command that starts ranks so that each has its cores, and `kind`, the family of
# the program's MPI. LAUNCH chooses: srun, mpirun, or a whole command line. Without LAUNCH it is
# srun if Slurm supports that MPI, and mpirun otherwise.
job_launch() {
  local pmi=pmix choice=${LAUNCH:-} core=core hwthreads=()
  kind=openmpi
  # The number is the library's interface: 12 is MPICH's, shared by Intel and Cray; 40 is Open
  # MPI's.
  case $(ldd "$program" 2>/dev/null || true) in # fails if PARTWISE is a script
    *libmpi.so.12* | *libmpich.so*) kind=mpich pmi=pmi2 ;;
  esac
  if [ -z "$choice" ]; then
    if [ "$ranks" = 1 ]; then
      choice=srun
    elif [ $kind = mpich ]; then
      # srun can start MPICH too (--mpi=pmi2), but it shows every error as 137, the code of a killed
      # rank.
      choice=$(basename "$(command -v mpirun.mpich || command -v mpiexec.hydra || command -v mpirun || echo srun)")
    elif srun --mpi=list 2>&1 | grep pmix >/dev/null; then # reads to the end: srun must not find the pipe closed
      choice=srun
    else
      choice=$(basename "$(command -v mpirun || echo srun)")
    fi
  fi
  [ "$ranks" != 1 ] || pmi=none # one rank alone never asks for MPI
  # The part of a TCP message beyond this goes in one direction at a time; the pieces of a sum fit
  # (docs/scaling.md).
  export OMPI_MCA_btl_tcp_eager_limit=${OMPI_MCA_btl_tcp_eager_limit:-1048576}
  # mpirun counts cores, and Slurm may count hardware threads.
  if [ "$(LC_ALL=C lscpu 2>/dev/null | sed -n 's/^Thread(s) per core: *//p')" -gt 1 ] 2>/dev/null; then
    core=hwthread hwthreads=(--use-hwthread-cpus)
  fi
  case $choice in
    srun)
      # Since Slurm 22.05, srun no longer takes --cpus-per-task from the job: without the option a
      # rank would have one core. A rank that fails must not leave the others waiting.
      launch=(srun --mpi="$pmi" --kill-on-bad-exit=1 --cpus-per-task="$cores" --cpu-bind=cores)
      ;;
    mpirun | mpirun.openmpi | mpiexec)
      if [ $kind = mpich ]; then
        launch=("$choice" -n "$ranks" -ppn "$ranks_a_node" -bind-to "$core:$cores")
      else
        # Open MPI's default leaves a rank one core (two ranks) or a socket. The last three options
        # detect a cut cable; without them mpirun waits for that node for more than a minute and a
        # half.
        launch=("$choice" "${hwthreads[@]}" --map-by "ppr:$ranks_a_node:node:pe=$cores" --bind-to "$core"
          --mca oob_tcp_keepalive_time 5 --mca oob_tcp_keepalive_intvl 2 --mca oob_tcp_keepalive_probes 3)
      fi
      ;;
    mpirun.mpich | mpiexec.hydra) launch=("$choice" -n "$ranks" -ppn "$ranks_a_node" -bind-to "$core:$cores") ;;
    *) read -ra launch <<<"$choice" ;;
  esac
}

# copy_store FROM TO ALIVE: copies on one node and compares sizes; checksums find damaged bytes when
# the fit reads them. It first removes the copies of earlier jobs that were killed. ALIVE lists the
# jobs that Slurm knew when this job asked, and later jobs are not in it: only lower numbers are
# removed. It is empty if Slurm did not answer.
copy_store() {
  set -euo pipefail
  local from=$1 to=$2 alive=$3 need free old number
  sizes() { (cd "$1" && find . -type f -printf '%s %P\n' | sort); }
  mkdir -p "$(dirname "$to")"
  for old in "$(dirname "$(dirname "$to")")"/partwise-[0-9]*; do
    number=${old##*-}
    if [ -n "$alive" ] && [ -O "$old" ] && [ "$number" -lt "$SLURM_JOB_ID" ] && ! grep -qx "$number" <<<"$alive"; then
      rm -rf "$old"
    fi
  done
  need=$(du -sk "$from" | cut -f1)
  free=$(df -Pk "$(dirname "$to")" | awk 'NR == 2 { print $4 }')
  if [ "$free" -lt $((need + need / 50)) ]; then
    echo "$(hostname): $(dirname "$to") has $((free / 1024)) MiB free, the store takes $((need / 1024)) MiB: choose another STAGE, or none" >&2
    exit 74
  fi
  rm -rf "$to"
  cp -r "$from" "$to"
  if [ "$(sizes "$from")" != "$(sizes "$to")" ]; then
    echo "$(hostname): $to: file sizes differ from those of $from" >&2
    exit 74
  fi
}

# on_each_node COMMAND…
on_each_node() { srun --mpi=none --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 "$@"; }

# With STAGE=/local/scratch every node gets a copy of the store on its own disk; the end of this
# script removes it.
job_stage() {
  [ -n "${STAGE:-}" ] || return 0
  [ "$verb" = fit ] || stop 2 "STAGE is for fits: a sweep reads its store once, and then the copy of the selected genes in its folder"
  local local_disk=$STAGE
  [[ ! $STAGE =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || local_disk=${!STAGE:-}
  [[ $local_disk == /* ]] || stop 2 "STAGE is a folder on each node's own disk, such as /scratch, or the name of a variable that holds it in jobs, such as TMPDIR"
  local folder=$local_disk/partwise-$SLURM_JOB_ID began=$SECONDS
  local copy alive
  copy=$folder/$(basename "$store")
  alive=$(squeue -h -u "$(id -un)" -o %A 2>/dev/null) || alive=
  staged=$folder
  trap job_unstage EXIT
  say "staging: $store to $copy, $(du -sh "$store" | cut -f1) a node"
  # An error of the copy is 74. Codes above 128 are signals, to the step or with its node.
  on_each_node bash -c "$(declare -f copy_store); (copy_store \"\$@\"); code=\$?; [ \$code = 0 ] || [ \$code -gt 128 ] || code=74; exit \$code" copy_store "$store" "$copy" "$alive" &
  trap 'asked=yes; kill '$!' 2>/dev/null || true' USR1 TERM
  attend $!
  trap 'asked=yes' USR1 TERM
  if [ -n "$asked" ]; then
    code=75
    job_again "it was asked to stop while the store was copied"
  fi
  case $code in
    0) ;;
    74) stop 74 "the store could not be staged (its node and reason are above)" ;;
    *) job_again "the store could not be staged (exit code $code)" ;;
  esac
  store=$copy
  say "staged in $((SECONDS - began)) seconds"
}

job_unstage() {
  [ -z "${staged:-}" ] || on_each_node rm -rf "$staged" || rm -rf "$staged" || true
  staged=
}

# attend PID: waits for the end of a child, through all signals, and sets `code` to its exit code.
attend() {
  # A signal ends `wait` before the child has ended, with a code above 128.
  while :; do
    code=0
    wait "$1" || code=$?
    kill -0 "$1" 2>/dev/null || break
  done
  local last=0
  wait "$1" 2>/dev/null || last=$?
  [ $last = 127 ] || code=$last # 127: the loop already has the code
}

# ask LAUNCHER_PID: sends USR1 to the ranks. srun and Open MPI's mpirun forward it. MPICH's mpirun
# (4.0) often loses the exit code, or hangs, when it does so over several nodes. There the rank on
# this node gets the signal and passes it to the others.
ask() {
  local pid told=
  if [ "$kind" = mpich ] && [ "${launch[0]##*/}" != srun ]; then
    for pid in $(pgrep -u "$(id -u)" -f "^$program $verb "); do
      if grep -qz "^SLURM_JOB_ID=$SLURM_JOB_ID\$" "/proc/$pid/environ"; then kill -USR1 "$pid" && told=yes; fi
    done
  fi
  [ -n "$told" ] || kill -USR1 "$1"
}

# Runs the program and sets `code` to its exit code.
job_run() {
  local said pid
  code=75
  [ -z "$asked" ] || return 0 # a signal came before there were ranks
  said=$(mktemp)
  launch+=("$program" "$verb" "$store" "${arguments[@]}")
  say "running: ${launch[*]}"
  "${launch[@]}" 2> >(tee "$said" >&2) &
  pid=$!
  # USR1 comes before the time limit (--signal in the batch scripts). TERM comes from scancel, or
  # when another job takes the nodes. Slurm sends TERM to the ranks as well, and they treat both
  # alike.
  trap 'say "USR1: asking the ranks to stop"; ask '"$pid"' 2>/dev/null || true' USR1
  trap 'say "TERM: the ranks got it too"' TERM
  # A signal may have come after the start of the ranks and before these traps.
  [ -z "$asked" ] || ask "$pid" 2>/dev/null || true
  attend "$pid"
  # Some launchers report only "killed" after MPI_Abort(code); the MPI library itself prints the
  # code.
  case $code in
    9 | 137 | 143)
      local told=
      for _ in 1 2 3 4 5; do # the output may come a moment after the launcher ended
        told=$(sed -n -e 's/.*MPI_Abort(MPI_COMM_WORLD, \([0-9]*\)).*/\1/p' -e 's/^with errorcode \([0-9]*\)\..*/\1/p' "$said" | head -1)
        [ -z "$told" ] || break
        sleep 0.2
      done
      [ -z "$told" ] || code=$told
      ;;
  esac
  rm -f "$said"
  say "ended with exit code $code at $(reached "$(progress)")"
}

# Decides on the job: done, queued again, or stopped.
job_end() {
  # MPICH's mpirun (4.0) may end with 0 after a TERM. The result is renamed into place last, and the
  # table of a sweep is written last: without them the job is not done.
  local last=$result
  [ "$verb" != sweep ] || last=$result/stability.csv
  if [ "$code" = 0 ] && [ ! "$last" -nt "$starts" ]; then
    say "the launcher ended with 0, but there is no result"
    code=143
  fi
  case $code in
    0)
      rm -f "$starts"
      say "done: $result"
      exit 0
      ;;
    75) job_again "it was asked to stop and kept what it had done" ;;
    76) job_again "the watchdog saw no progress" ;;
    9 | 137) job_again "a rank was killed (by the kernel because memory ran out, or with its node)" ;;
    # 70: the program has caught its crash, which may be one of the MPI library.
    70 | 134 | 135 | 139) job_again "a rank crashed, or met a defect of partwise (please report its line above)" ;;
    138 | 143) job_again "it had to end and had no time to keep its state" ;; # 138: USR1 before the program handled it
    205 | 255 | 7 | 1) job_again "the launcher lost a node, or could not start there" ;; # the program itself never ends with 1
    73)
      if [ "$verb" = fit ] && [ "${SLURM_RESTART_COUNT:-0}" != 0 ] && [ -e "$result" ]; then
        say "done: $result was written before this start"
        exit 0
      fi
      stop 73 "the result exists, or is of other data or settings; the reason of the program is above"
      ;;
    *) stop "$code" "another start would end the same way; the reason of the program is above" ;;
  esac
}

# job_again WHY: queues the job again if that may help.
job_again() {
  local now tries=${TRIES:-3} state hint=
  now=$(progress)
  # A cancelled job must stay away. If Slurm ends a job by itself, Slurm also decides on the next
  # step.
  state=$(patiently scontrol show job "$job" | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p' | head -n 1) || true
  [ "${state:-RUNNING}" = RUNNING ] || stop "$code" "$1; Slurm is ending this job ($state). The same sbatch line goes on from $(reached "$now")"
  if [ "$(starts_at "$now")" -ge "$tries" ]; then
    [ "$code" != 75 ] || hint=". If the time limit ended it: the limit must leave time beside the margin of --signal (300 seconds unless set)"
    stop "$code" "$1; $tries starts began at $(reached "$now") and got no further (TRIES sets the number)$hint"
  fi
  say "queued again: $1; the next start goes on from $(reached "$now")"
  job_unstage # Slurm leaves no time for this once the job is queued
  trap - TERM
  if ! patiently scontrol requeue "$job"; then
    stop "$code" "Slurm refused to queue it again; the same sbatch line goes on from $(reached "$now")"
  fi
  sleep 60 # Slurm ends this script
  exit "$code"
}
