"""Makes the small app files of test/fixtures/audit and records what Debian's own tools say of them.

Needs the packages aapt, apksigner, dexdump, libsmali-java, androguard, gcc, binutils, a JDK and zip. Run with the
system's Python: /usr/bin/python3 test/oracles/record-apps.py
hello.apk is assets/HelloActivity.apk of npm's android-apidemos 5.0.0 (Apache-2.0), signed in 2011.
"""
import json, os, re, subprocess, tempfile

here = os.path.dirname(os.path.abspath(__file__))
folder = os.path.normpath(os.path.join(here, '../fixtures/audit'))
source = os.path.join(folder, 'source')


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, errors='replace', **options).stdout


def badging(apk):
    text = run('aapt', 'dump', 'badging', apk)
    package = re.search(r"package: name='([^']*)' versionCode='([^']*)' versionName='([^']*)'", text).groups()
    label = re.search(r"application-label:'(.*)'", text)
    return {
        'package': package[0], 'versionCode': int(package[1]), 'versionName': package[2],
        'label': label and label.group(1),
        'permissions': sorted(set(re.findall(r"^uses-permission: name='([^']*)'", text, re.M))
                              - set(re.findall(r"^uses-implied-permission: name='([^']*)'", text, re.M))),
    }


def xmltree(apk):
    """Elements by depth and attribute names, in order, as aapt prints them."""
    lines = run('aapt', 'dump', 'xmltree', apk, 'AndroidManifest.xml').split('\n')
    tree = []
    for line in lines:
        element = re.match(r'^( *)E: (\S+)', line)
        attribute = re.match(r'^( *)A: (?:[^\s(=]*:)?([A-Za-z]+)(?:\(0x[0-9a-f]+\))?=', line)
        if element:
            tree.append(['E', element.group(2)])
        elif attribute:
            tree.append(['A', attribute.group(2)])
    return tree


def resources(apk):
    text = run('aapt', 'dump', '--values', 'resources', apk)
    return sorted({int(number, 16): name for number, name in
                   re.findall(r'^\s+resource (0x[0-9a-f]+) \S+?:(\S+?): (?:t=|<bag>)', text, re.M)}.items())


def certificates(apk):
    text = subprocess.run(['apksigner', 'verify', '--min-sdk-version', '21', '--print-certs', '-v', apk], capture_output=True, text=True).stdout
    return {
        'schemes': [scheme for scheme in ('v1', 'v2', 'v3')
                    if re.search(r'Verified using %s scheme [^:]*: true' % scheme, text)],
        'subject': re.search(r'certificate DN: (.*)', text).group(1),
        'sha256': re.search(r'certificate SHA-256 digest: (\w+)', text).group(1),
    }


def dex(path):
    """Classes and methods by dexdump; calls by androguard's own bytecode reader."""
    from androguard.core.bytecodes.dvm import DalvikVMFormat
    text = run('dexdump', '-d', path)
    classes = re.findall(r"^  Class descriptor  : '([^']*)'", text, re.M)
    form = DalvikVMFormat(open(path, 'rb').read())
    calls, strings = set(), set()  # as androguard writes them
    for each in form.get_classes():
        for method in each.get_methods():
            if method.get_code() is None:
                continue
            for instruction in method.get_instructions():
                if instruction.get_name().startswith('invoke'):
                    target = re.search(r'(L[^\s,]*;)->([^\s(]+)', instruction.get_output())
                    calls.add((each.get_name(), target.group(1), target.group(2)))
                elif instruction.get_name().startswith('const-string'):
                    strings.add((each.get_name(), instruction.get_ref_kind()
                                 if isinstance(instruction.get_ref_kind(), str) else form.get_cm_string(instruction.get_ref_kind())))
    plain = lambda value: value.decode() if isinstance(value, bytes) else str(value)
    methods = sorted({(plain(m.get_class_name()), plain(m.get_name()), re.sub(r'\s', '', plain(m.get_descriptor())))
                      for m in form.get_methods()})
    return {
        'classes': sorted(classes),
        'methods': methods,
        'calls': sorted(calls),
        'strings': sorted(strings, key=str),
        'dexdumpCalls': len(re.findall(r'\|[0-9a-f]{4}: invoke-', text)),
    }


def elf(path):
    dynamic = run('readelf', '-Wd', path)
    symbols = re.findall(r'^\s+\d+: \S+\s+\d+ \w+\s+\w+\s+\w+\s+(\w+) (\S+)$', run('readelf', '-W', '--dyn-syms', path), re.M)
    return {
        'soname': (re.findall(r'\(SONAME\).*\[(.*)\]', dynamic) or [None])[0],
        'needed': re.findall(r'\(NEEDED\).*\[(.*)\]', dynamic),
        'imports': sorted(name.split('@')[0] for place, name in symbols if place == 'UND'),
        'exports': sorted(name.split('@')[0] for place, name in symbols if place != 'UND'),
    }


def main():
    at = lambda name: os.path.join(folder, name)
    jars = ':'.join('/usr/share/java/%s.jar' % name
                    for name in ('smali', 'smali-util', 'antlr3-runtime', 'guava', 'jcommander', 'dexlib2', 'stringtemplate', 'failureaccess'))
    smali = sorted(os.path.join(source, name) for name in os.listdir(source) if name.endswith('.smali'))
    run('java', '-cp', jars, 'org.jf.smali.Main', 'assemble', '-o', at('calls.dex'), *smali)
    library = ['gcc', '-shared', '-nostdlib', '-fPIC', '-s', '-Wl,-soname,libapp.so', '-Wl,-z,noseparate-code', os.path.join(source, 'native.c')]
    run(*library, '-Wl,--hash-style=gnu', '-o', at('native-gnu.so'))
    run(*library, '-Wl,--hash-style=sysv', '-Wl,--no-as-needed', '-lm', '-o', at('native-sysv.so'))
    run('javac', '--release', '8', '-d', folder, os.path.join(source, 'Calls.java'))
    os.replace(at('com/example/lib/Calls.class'), at('Calls.class'))
    os.removedirs(at('com/example/lib'))
    with tempfile.TemporaryDirectory() as scratch:
        key = os.path.join(scratch, 'key.jks')
        run('keytool', '-genkeypair', '-keystore', key, '-storepass', 'android', '-keypass', 'android', '-alias', 'a',
            '-keyalg', 'EC', '-validity', '20000', '-dname', 'CN=Test, O=Fixtures, C=GB')
        run('apksigner', 'sign', '--ks', key, '--ks-pass', 'pass:android', '--min-sdk-version', '21', '--v1-signing-enabled', 'true',
            '--v2-signing-enabled', 'true', '--v3-signing-enabled', 'true', '--v4-signing-enabled', 'false',
            '--out', at('signed.apk'), at('hello.apk'))
    record = {
        'apks': {name: {**badging(at(name)), 'tree': xmltree(at(name)), 'resources': resources(at(name)),
                        'signatures': certificates(at(name))} for name in ('hello.apk', 'signed.apk')},
        'dex': {'calls.dex': dex(at('calls.dex'))},
        'elf': {name: elf(at(name)) for name in ('native-gnu.so', 'native-sysv.so')},
    }
    with open(at('apps.json'), 'w') as out:
        json.dump(record, out, indent=1, default=str)
        out.write('\n')


main()
