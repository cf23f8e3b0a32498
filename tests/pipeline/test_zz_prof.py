import subprocess, os
from tests.support.events import extraction, record
async def test_p(installation):
    await installation.create_topics()
    await installation.produce(installation.topic("extraction"), [record(extraction(i)) for i in range(50)])
    w = await installation.worker("--family", "extraction").ready()
    await installation.settled("extraction")
    await w.stop()
    r=subprocess.run(['/work/main/.venv/bin/python','/tmp/verify/prof.py'],env=os.environ|installation.environment|{'PYTHONPATH':'/work/main'},capture_output=True,text=True)
    print(r.stdout, r.stderr[-3000:])
    assert 0
