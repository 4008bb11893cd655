import assert from 'node:assert/strict'
import { chmod, lstat, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { continued, writeTextfile } from '../../src/observe/textfile.ts'
import { diskCalls } from '../support/disk-calls.ts'
import { hugeFile, NO_FILES } from '../support/unusual-files.ts'

const TEXT = `# HELP a_total Things.
# TYPE a_total counter
a_total{job="x"} 2
a_total{job="new"} 1
# HELP g A level.
# TYPE g gauge
g 5
# HELP h_seconds Times.
# TYPE h_seconds histogram
h_seconds_bucket{le="0.5",job="x"} 1
h_seconds_bucket{le="+Inf",job="x"} 2
h_seconds_sum{job="x"} 0.75
h_seconds_count{job="x"} 2
`

async function folder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'textfile-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

test('counters and histograms continue from the file, and gauges do not', () => {
  const once = continued(TEXT, '')
  assert.equal(once, TEXT)
  const twice = continued(TEXT, once)
  assert.deepEqual(
    twice.split('\n').filter((line) => /^\w/.test(line)),
    [
      'a_total{job="x"} 4',
      'a_total{job="new"} 2',
      'g 5',
      'h_seconds_bucket{le="0.5",job="x"} 2',
      'h_seconds_bucket{le="+Inf",job="x"} 4',
      'h_seconds_sum{job="x"} 1.5',
      'h_seconds_count{job="x"} 4',
    ],
  )
})

test('anything else in the file is dropped', () => {
  for (const before of [
    '',
    'nonsense',
    '\0\uFFFD'.repeat(1_000),
    'a_total{job="x"} NaN\na_total{job="x"\na_total{job="x"} ..\nother 7',
    '# TYPE a_total counter',
  ])
    assert.equal(continued(TEXT, before), TEXT, JSON.stringify(before.slice(0, 40)))
  assert.match(continued(TEXT, 'a_total{job="x"} 1.5e+1\n'), /^a_total\{job="x"\} 17$/m)
})

test('the file is readable by others whatever the umask, and nothing is left beside it', async () => {
  await using at = await folder()
  const path = join(at.path, 'maintenance.prom')
  const umask = process.umask(0o077)
  try {
    await writeTextfile(path, TEXT, 'host:1')
    await writeTextfile(path, TEXT, 'host:2')
  } finally {
    process.umask(umask)
  }
  assert.equal((await stat(path)).mode & 0o777, 0o644)
  assert.deepEqual(await readdir(at.path), ['maintenance.prom'])
  assert.match(await readFile(path, 'utf8'), /^a_total\{job="x"\} 4$/m)
})

test('the file is on the disk before its name is, and its name when it is done', async () => {
  await using at = await folder()
  const path = join(at.path, 'maintenance.prom')
  const calls = await diskCalls(() => writeTextfile(path, TEXT, 'host:1'))
  assert.deepEqual(calls.slice(-3), [`sync ${path}.host-1`, `rename ${path}`, `sync ${at.path}`])
})

test('a leftover of the temporary file is removed, and never written through', async () => {
  await using at = await folder()
  const path = join(at.path, 'maintenance.prom')
  const victim = join(at.path, 'victim')
  await writeFile(victim, 'mine')
  await symlink(victim, `${path}.host-1`)
  await writeTextfile(path, TEXT, 'host:1')
  assert.equal(await readFile(victim, 'utf8'), 'mine')
  assert.deepEqual((await readdir(at.path)).toSorted(), ['maintenance.prom', 'victim'])
})

test('a missing or unwritable folder is reported, and the old file stays', async (t) => {
  await using at = await folder()
  await assert.rejects(writeTextfile(join(at.path, 'missing', 'x.prom'), TEXT, 'host:1'), { code: 'ENOENT' })
  if (process.getuid?.() === 0) return t.skip('as root every folder takes files')
  const path = join(at.path, 'x.prom')
  await writeTextfile(path, TEXT, 'host:1')
  await chmod(at.path, 0o500)
  await assert.rejects(writeTextfile(path, 'new\n', 'host:1'), { code: 'EACCES' })
  await chmod(at.path, 0o700)
  assert.equal(await readFile(path, 'utf8'), TEXT)
})

test('anything but a regular file in place of the textfile is refused at once and left unchanged', async () => {
  for (const { name, make } of [...NO_FILES, { name: 'a link to a file', make: (path: string) => symlink(`${path}.victim`, path) }]) {
    await using at = await folder()
    const path = join(at.path, 'maintenance.prom')
    await writeFile(`${path}.victim`, 'a_total{job="x"} 7\n')
    await make(path)
    const before = await lstat(path)
    await assert.rejects(
      writeTextfile(path, TEXT, 'host:1'),
      /maintenance\.prom is a (?:folder|named pipe|symbolic link), and a regular file is needed/,
      name,
    )
    assert.equal(await readFile(`${path}.victim`, 'utf8'), 'a_total{job="x"} 7\n')
    assert.deepEqual((await lstat(path)).ino, before.ino, name)
    assert.ok(!(await readdir(at.path)).includes('maintenance.prom.host-1'))
  }
})

test('a textfile that is too large to be ours is refused before it is read', async () => {
  await using at = await folder()
  const path = join(at.path, 'maintenance.prom')
  await hugeFile(path)
  await assert.rejects(writeTextfile(path, TEXT, 'host:1'), /has 2\.1 GB/)
})
