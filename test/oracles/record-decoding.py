"""Records how Pillow (libjpeg-turbo) decodes JPEG files: sha256 of the RGB bytes of 100 images of the CIFAR-10 copy.

Usage: python3 test/oracles/record-decoding.py ../shared/data/cifar-10-images.tar.gz > test/fixtures/decoding.json
"""
import hashlib, io, json, sys, tarfile
from PIL import Image

images = {}
with tarfile.open(sys.argv[1]) as archive:
    for member in archive:
        if member.isfile() and member.name.startswith("test/") and int(member.name[-8:-4]) < 10:
            picture = Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGB")
            images[member.name] = hashlib.sha256(picture.tobytes()).hexdigest()
json.dump(dict(sorted(images.items())), sys.stdout, indent=1)
