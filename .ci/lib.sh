# What .ci/run and .ci/full share: a bare machine, a fresh clone, README's two commands, the other environments.
set -euo pipefail

# Kept: junit files of each run of pytest.
results=$PWD/out/ci
mkdir -p "$results"
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

# A tenth of the packages' modules is ever imported: Python compiles those by itself, pip would compile them all.
quick=(-q --no-compile --disable-pip-version-check)

install_system_packages() {
  # onnxruntime and ctranslate2 need the OpenMP runtime, which slim images leave out. The Kani model's kernels need
  # a compiler, the page two browsers and PulseAudio, as Firefox plays nothing without a sound card, the alert
  # rules promtool, the test of outgoing traffic strace, LangChain's parser ffmpeg, the mark of
  # synthetic speech exiftool, and commands of the documents curl, jq and openssl.
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends \
    libgomp1 g++ libc6-dev chromium firefox-esr pulseaudio pulseaudio-utils fonts-noto-core \
    prometheus strace ffmpeg libimage-exiftool-perl curl jq openssl \
    >/dev/null
}

begin() {
  system=
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    (set -e; install_system_packages) &
    system=$!
  fi
  git clone -q . "$work/clone"
  cd "$work/clone"
  export XDG_CACHE_HOME="$work/cache" XDG_DATA_HOME="$work/data"
  # hypothesis uses the same examples in every run of CI.
  export CI=true
  # What is made of a model once is shared by the tiers.
  export TESTS_CACHE="$work/tests-cache"
  mkdir "$TESTS_CACHE"
}

first_command() {
  echo "== first command: pip install -r requirements.txt, and python start_websocket_server.py"
  python3 -m venv "$work/venv"
  export PATH="$work/venv/bin:$PATH"
  pip install "${quick[@]}" -r requirements.txt
  [ -z "$system" ] || wait "$system"
  python start_websocket_server.py --port 18001 >"$work/server.log" 2>&1 &
  local server=$!
  for _ in $(seq 1000); do
    python websocket_client.py --server ws://127.0.0.1:18001 "Hola, ya hablo." -o "$work/hola.wav" 2>/dev/null && break
    kill -0 $server || { cat "$work/server.log"; exit 1; }
    sleep 0.3
  done
  python test_websocket.py --server ws://127.0.0.1:18001 || { cat "$work/server.log"; exit 1; }
  kill -TERM $server
  wait $server
}

second_command() {
  echo "== second command: pip install -r requirements-dev.txt, and python -m pytest"
  pip install "${quick[@]}" -r requirements-dev.txt
  ruff check .
  ruff format --check .
  run_tests
}

install_all() {
  # Before the tests: an environment of its own, so that README's has what README says.
  python3 -m venv "$work/all"
  "$work/all/bin/pip" install "${quick[@]}" -r requirements/dev-all.txt
}

use_all() {
  export PATH="$work/all/bin:$PATH"
}

# Seconds since the start at which tests end, well before CI would end everything without a word.
ends=$((80 * 60))

# Runs pytest with these arguments; what failed is run once more in the end. A test that would still run two minutes
# before the end fails there and says where it waits (tests/running/limit.py); pytest itself is interrupted at the end.
failed=0
run_tests() {
  runs=$((runs + 1))
  local left=$((ends - SECONDS))
  [ $left -gt 0 ] || { echo "no time is left for: pytest $*" >&2; exit 1; }
  TESTS_END=$(($(date +%s) + left - 120)) timeout --foreground --signal=INT --kill-after=2m $left \
    python -m pytest --durations=50 --junitxml="$results/$runs.xml" "$@" | tee "$work/tests-$runs.log" || failed=1
}
runs=0

finish() {
  grep -hE '^(FAILED|ERROR) tests/' "$work"/tests-*.log >"$work/failed.log" || true
  if [ $failed = 1 ]; then
    # A test that fails twice is a defect. One that passes alone is a race, named here, to be mended in the same
    # change. More than three are no accident.
    cat "$work/failed.log"
    local count
    count=$(wc -l <"$work/failed.log")
    [ "$count" -ge 1 ] && [ "$count" -le 3 ] || exit 1
    echo "== once more: the tests that failed"
    sed -E 's/^(FAILED|ERROR) //; s/ - .*//' "$work/failed.log" >"$work/again.txt"
    timeout --signal=INT --kill-after=1m 10m python -m pytest -m "" -n 0 "@$work/again.txt"
    echo "== passed only on the second try, a defect of the suite:"
    cat "$work/again.txt"
  fi
  # A skipped test is a failure, unless it needs what this machine lacks: everything else is installed above.
  local may_lack='CUDA|IPv6|npm reaches no registry|no address but its loopback one|would play on the sound card|BAZARR names no folder|no Python 3\.8'
  grep -qw avx2 /proc/cpuinfo || may_lack+='|AVX2'
  grep -qE 'avx512_vnni|avx_vnni' /proc/cpuinfo || may_lack+='|VNNI'
  # README's command skips by name what only the larger environment has; these were run there.
  may_lack+='|is not installed: pip install -r requirements/dev-'"${1:+|$1}"
  if grep -h '^SKIPPED' "$work"/tests-*.log | grep -Ev "$may_lack"; then
    echo "these tests were skipped although what they need is installed" >&2
    exit 1
  fi
}

# Files with tests of smoke: named, pytest does not collect the 12,000 others, in each of its processes.
smoke_files() {
  python -m tests.running.smoke
  grep -rl --include='test_*.py' 'mark\.smoke' tests
}

# Files and folders that the first tier skipped for want of a package.
skipped_files() {
  grep -h '^SKIPPED.*is not installed: pip install -r requirements/dev-' "$work"/tests-1.log |
    sed -E 's/^SKIPPED \[[0-9]+\] ([^:]+):.*/\1/' | sort -u
}
