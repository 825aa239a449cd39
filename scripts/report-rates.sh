#!/bin/bash
# Do stated error rates hold on people whom the calibration has not seen? Calibrates on half of the people of an album
# (DIR/PERSON/PHOTO) and measures on the others, in int8 and float32: FMR in 1:1, FPIR in galleries of 50, 200 and 600
# people. Prints the tables of docs/MODELS.md. Nothing is written.
#
#   scripts/report-rates.sh [BUILD_DIR [IMAGES_DIR [SPLITS]]]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
images=${2:-${FM_SHARED_DATA:-../shared/data}/lfw-view1/images}
splits=${3:-100}

if [ ! -d "$images" ]; then
	echo "report-rates: no photos in $images: say where, a folder for each person" >&2
	exit 1
fi
for precision in int8 float32; do
	echo "== $precision: facematchctl calibrate --hold-out --splits $splits --precision $precision"
	"$build/facematchctl" calibrate --images "$images" --hold-out --splits "$splits" --precision "$precision"
	echo
done
