"""Makes a small F-Droid repository of two apps, one in two versions, with fdroidserver.

Needs the packages fdroidserver, aapt, apksigner and androguard (whose examples hold an Android framework to link to).
python3 test/oracles/record-fdroid.py FOLDER    writes FOLDER/entry.json, index-v2.json and the APKs
"""
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap

FRAMEWORK = '/usr/share/doc/androguard/examples/tests/lineageos_nexus5_framework-res.apk'
MANIFEST = """<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="{package}"
 android:versionCode="{code}" android:versionName="{name}"><uses-sdk android:minSdkVersion="21" android:targetSdkVersion="30"/>
 <application android:label="{label}"/></manifest>"""
APPS = [
    ('org.example.alpha', 1, '1.0', 'Alpha'),
    ('org.example.alpha', 2, '1.1', 'Alpha'),
    ('org.example.beta', 7, '0.7', 'Beta'),
]
METADATA = {
    'org.example.alpha': 'Categories:\n  - Multimedia\n  - Science & Education\nLicense: Apache-2.0\nAutoName: Alpha\n',
    'org.example.beta': 'Categories:\n  - Games\nLicense: GPL-3.0-only\nAutoName: Beta\n',
}


def run(*words, cwd):
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f'{" ".join(words)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}')


target = os.path.abspath(sys.argv[1])
os.makedirs(target, exist_ok=True)
with tempfile.TemporaryDirectory() as work:
    run('fdroid', 'init', '--no-prompt', cwd=work)
    run('keytool', '-genkeypair', '-keystore', 'key.p12', '-storepass', 'android', '-alias', 'a', '-dname', 'CN=Example',
        '-keyalg', 'RSA', '-validity', '9999', cwd=work)
    os.makedirs(f'{work}/metadata', exist_ok=True)
    for package, text in METADATA.items():
        with open(f'{work}/metadata/{package}.yml', 'w') as out:
            out.write(text)
    for package, code, name, label in APPS:
        folder = f'{work}/{package}_{code}'
        os.makedirs(f'{folder}/assets')
        with open(f'{folder}/AndroidManifest.xml', 'w') as out:
            out.write(MANIFEST.format(package=package, code=code, name=name, label=label))
        with open(f'{folder}/assets/network.param', 'w') as out:
            # An ncnn network: one dense layer, its size the version.
            out.write(textwrap.dedent(f"""\
                7767517
                2 2
                Input in 0 1 in 0=4
                InnerProduct fc 1 1 in out 0={code} 1=1 2={4 * code}
                """))
        apk = f'{work}/repo/{package}_{code}.apk'
        run('aapt', 'package', '-f', '-M', f'{folder}/AndroidManifest.xml', '-I', FRAMEWORK, '-A', f'{folder}/assets', '-F', apk, cwd=work)
        run('apksigner', 'sign', '--ks', 'key.p12', '--ks-pass', 'pass:android', '--v4-signing-enabled', 'false', apk, cwd=work)
    run('fdroid', 'update', '--pretty', cwd=work)
    for name in sorted(os.listdir(f'{work}/repo')):
        if name in ('entry.json', 'index-v2.json') or name.endswith('.apk'):
            shutil.copy(f'{work}/repo/{name}', f'{target}/{name}')
