"""What Debian's tools say of APKs: aapt of manifests, apksigner of signers, dexdump and androguard of code.

/usr/bin/python3 bench/audit-truth/oracles.py FILE...    prints a JSON line for each APK: what each tool could read of it
"""
import hashlib
import json
import logging
import re
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, errors='replace')
    return done.returncode, done.stdout


def aapt(apk):
    code, text = run('aapt', 'dump', 'badging', apk)
    package = re.search(r"^package: name='([^']*)' versionCode='([^']*)' versionName='([^']*)'", text, re.M)
    if code != 0 or not package:
        return None
    return {
        'package': package.group(1), 'versionCode': package.group(2), 'versionName': package.group(3),
        # Its implied permissions are none that the manifest names.
        'permissions': sorted(set(re.findall(r"^uses-permission(?:-sdk-23)?: name='([^']*)'", text, re.M))
                              - set(re.findall(r"^uses-implied-permission: name='([^']*)'", text, re.M))),
    }


def apksigner(apk):
    code, text = run('apksigner', 'verify', '--min-sdk-version', '24', '--print-certs', '-v', apk)
    if code != 0:
        return None
    return {'sha256': sorted(set(re.findall(r'^Signer[^:\n]*certificate SHA-256 digest: (\w+)', text, re.M)))}


known = {}


def plain(value):
    return value.decode('utf-8', 'replace') if isinstance(value, bytes) else str(value)


def dexdump(path):
    code, text = run('dexdump', '-d', path)
    if code != 0:
        return None
    # invoke-custom names a call site instead of a method.
    calls = re.findall(r'\|[0-9a-f]{4}: invoke-(?!custom)[^{]*\{[^}]*\}, (\S+?)\.([^.:\s]+):', text)
    return {
        'classes': len(re.findall(r"^  Class descriptor  : '", text, re.M)),
        'invokes': len(calls),
        'calls': sorted({(owner, name) for owner, name in calls}),
    }


def androguard(data):
    from androguard.core.bytecodes.dvm import DalvikVMFormat
    try:
        form = DalvikVMFormat(data)
        invokes, calls = 0, set()
        for method in form.get_methods():
            if method.get_code() is None:
                continue
            for instruction in method.get_instructions():
                if not instruction.get_name().startswith('invoke') or 'custom' in instruction.get_name():
                    continue
                target = re.search(r'((?:\[*L[^\s,]*;)|\[+[ZBSCIJFD])->([^\s(]+)', instruction.get_output())
                invokes += 1
                if target:
                    calls.add((target.group(1), target.group(2)))
        return {'invokes': invokes, 'calls': sorted(calls)}
    except Exception as cause:
        return {'failure': repr(cause)[:200]}


def code_of(apk):
    """Of every classes.dex, each read once however many apps hold it."""
    import tempfile
    found = []
    try:
        archive = zipfile.ZipFile(apk)
    except Exception:
        return None
    for name in archive.namelist():
        if not re.fullmatch(r'classes\d*\.dex', name):
            continue
        try:
            data = archive.read(name)
        except Exception:
            return None
        digest = hashlib.sha256(data).hexdigest()
        if digest not in known:
            with tempfile.NamedTemporaryFile(suffix='.dex') as out:
                out.write(data)
                out.flush()
                known[digest] = {'dexdump': dexdump(out.name), 'androguard': androguard(data) if len(data) < 2_000_000 else None}
        found.append({'name': name, 'sha256': digest})
    return found


def manifest_of(apk):
    from androguard.core.bytecodes.apk import APK
    try:
        app = APK(apk)
        certificates = set()
        for get in (app.get_certificates_v3, app.get_certificates_v2):
            try:
                certificates |= {each.sha256_fingerprint.replace(' ', '').lower() for each in get()}
            except Exception:
                pass
        try:
            certificates |= {each.sha256_fingerprint.replace(' ', '').lower()
                             for each in (app.get_certificate(name) for name in app.get_signature_names())}
        except Exception:
            pass
        return {'package': app.get_package(), 'versionCode': app.get_androidversion_code(),
                'versionName': app.get_androidversion_name(), 'permissions': sorted(set(app.get_permissions())),
                'sha256': sorted(certificates)}
    except Exception as cause:
        return {'failure': repr(cause)[:200]}


if __name__ == '__main__':
    logging.disable(logging.CRITICAL)
    files = sys.argv[1:]
    with ThreadPoolExecutor(2) as pool:
        for apk, tools in zip(files, pool.map(lambda apk: (aapt(apk), apksigner(apk)), files)):
            print(json.dumps({'file': apk, 'aapt': tools[0], 'apksigner': tools[1], 'androguard': manifest_of(apk),
                              'dex': code_of(apk)}), flush=True)
    print(json.dumps({'code': known}))
