"""Real inputs for calibration, from the faces of the demo photos, as the networks get them."""
import glob
import json
import os
import subprocess

import cv2
import numpy as np

from common import BenchError

# The five points of an aligned face in a crop of 112 x 112 (the ArcFace convention).
TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
                     [70.7299, 92.2041]])


def similarity(points):
    """The 2 x 3 matrix that takes points nearest to the template, in the least squares sense (Umeyama 1991)."""
    from_mean, to_mean = points.mean(0), TEMPLATE.mean(0)
    source, target = points - from_mean, TEMPLATE - to_mean
    u, s, vt = np.linalg.svd(target.T @ source)
    sign = np.diag([1, np.sign(np.linalg.det(u @ vt))])
    matrix = np.trace(np.diag(s) @ sign) / (source ** 2).sum() * u @ sign @ vt
    return np.hstack([matrix, (to_mean - matrix @ from_mean)[:, None]])


def faces_of(build, photos):
    """(photo, box, five landmarks) of each face that facematchctl finds."""
    done = subprocess.run([f"{build}/facematchctl", "embed", "--models", "build/models", *photos],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"facematchctl embed of the demo photos failed: {done.stderr.strip()}")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    if not found:
        raise BenchError("no face in build/demo to calibrate with: run scripts/fetch-demo-photos.sh build/demo")
    return [(face["file"], face["box"], np.array(face["landmarks"])) for face in found]


def fit(image, width, height):
    """Scaled to fit, with a black border below and on the right."""
    scale = min(width / image.shape[1], height / image.shape[0])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:height, :width]
    return cv2.copyMakeBorder(small, 0, height - small.shape[0], 0, width - small.shape[1], cv2.BORDER_CONSTANT)


def planar(image, mean, scale):
    """Channels first, (x - mean) * scale."""
    image = image[:, :, None] if image.ndim == 2 else image
    return ((image.astype(np.float32) - mean) * np.float32(scale)).transpose(2, 0, 1)


def write(build, directory):
    """Files of raw float32 per network: {network: [path]}."""
    photos = sorted(glob.glob("build/demo/*.jpg"))
    images = {photo: cv2.imread(photo) for photo in photos}
    inputs = {name: [] for name in ("fr_feature", "fr_detect", "fr_landmark", "edgeface_xs", "yunet_n_320_320")}
    for photo in photos:
        inputs["fr_detect"].append(planar(fit(images[photo], 320, 240)[:, :, ::-1], 127, 1 / 128))
        inputs["yunet_n_320_320"].append(planar(fit(images[photo], 320, 320), 0, 1))
    for photo, box, points in faces_of(build, photos):
        crop = cv2.warpAffine(images[photo], similarity(points), (112, 112), flags=cv2.INTER_LINEAR)
        inputs["fr_feature"].append(planar(crop, 127, 1 / 128))
        inputs["edgeface_xs"].append(planar(crop[:, :, ::-1], 127.5, 1 / 127.5))
        side, left, top = box["height"], box["x"] + (box["width"] - box["height"]) / 2, box["y"]
        to_crop = np.array([[64 / side, 0, -left * 64 / side], [0, 64 / side, -top * 64 / side]])
        grey = cv2.cvtColor(cv2.warpAffine(images[photo], to_crop, (64, 64)), cv2.COLOR_BGR2GRAY)
        inputs["fr_landmark"].append(planar(grey, 0, 1 / 256))
    paths = {}
    for network, arrays in inputs.items():
        paths[network] = []
        for number, array in enumerate(arrays):
            path = os.path.abspath(os.path.join(directory, f"{network}.{number}.f32"))
            np.ascontiguousarray(array, np.float32).tofile(path)
            paths[network].append(path)
    return paths
