"""What androguard takes to read apps and to find what their code calls: AnalyzeAPK of each, one process per app, PROCESSES at a time.

python3 bench/audit-throughput/peer.py PROCESSES FILE...    prints {"file": ..., "seconds": ...} per app, a JSON line each
"""
import json
import logging
import multiprocessing
import sys
import time


def analyse(path):
    logging.disable(logging.CRITICAL)
    from androguard.misc import AnalyzeAPK
    started = time.process_time()
    try:
        app, _, analysis = AnalyzeAPK(path)
        calls = sum(len(method.get_xref_from()) for method in analysis.get_methods() if method.is_external())
        return {'file': path, 'package': app.get_package(), 'calls': calls, 'seconds': time.process_time() - started}
    except Exception as cause:
        return {'file': path, 'failure': repr(cause)[:200], 'seconds': time.process_time() - started}


if __name__ == '__main__':
    with multiprocessing.Pool(int(sys.argv[1]), maxtasksperchild=1) as pool:
        for result in pool.imap_unordered(analyse, sys.argv[2:], chunksize=1):
            print(json.dumps(result), flush=True)
