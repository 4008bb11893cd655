import assert from 'node:assert/strict'
import { chmod, chown, lstat, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { startHeartbeat } from '../../src/observe/heartbeat.ts'
import { hostClock, type Clock } from '../../src/time/clock.ts'
import { freshPlace, NO_FILES } from '../support/unusual-files.ts'

const AT = Date.UTC(2031, 4, 6)

/** Beats once. */
async function beat(file: string): Promise<readonly string[]> {
  const stopping = new AbortController()
  stopping.abort()
  const clock: Clock = { ...hostClock(), now: () => AT }
  const warnings: string[] = []
  const { ended } = await startHeartbeat(file, clock, (warning) => warnings.push(warning), stopping.signal)
  await ended
  return warnings
}

function beatAs(uid: number, file: string): Promise<readonly string[]> {
  process.seteuid!(uid)
  return beat(file).finally(() => process.seteuid!(0))
}

test('the health file is created, and touched with the clock’s time', async () => {
  await using place = await freshPlace()
  const file = join(place.path, 'alive')
  assert.deepEqual(await beat(file), [])
  assert.equal((await stat(file)).mtimeMs, AT)
  await utimes(file, 1, 1)
  assert.deepEqual(await beat(file), [])
  assert.equal((await stat(file)).mtimeMs, AT)
})

test('anything but a regular file in place of the health file causes one warning and is left unchanged', async () => {
  for (const { name, make } of [...NO_FILES, { name: 'a link to a file', make: (path: string) => symlink(`${path}.victim`, path) }]) {
    await using place = await freshPlace()
    const file = join(place.path, 'alive')
    await writeFile(`${file}.victim`, 'precious')
    await utimes(`${file}.victim`, 1, 1)
    await make(file)
    const before = await lstat(file)
    const [warning = '', ...more] = await beat(file)
    assert.match(warning, /alive cannot be written.*alive is a (?:folder|named pipe|symbolic link), and a regular file is needed/, name)
    assert.deepEqual(more, [])
    assert.equal((await lstat(file)).mtimeMs, before.mtimeMs)
    assert.equal(await readFile(`${file}.victim`, 'utf8'), 'precious')
    assert.equal((await stat(`${file}.victim`)).mtimeMs, 1_000)
  }
})

test('a dangling link does not create a file', async () => {
  await using place = await freshPlace()
  await symlink(join(place.path, 'elsewhere'), join(place.path, 'alive'))
  assert.equal((await beat(join(place.path, 'alive'))).length, 1)
  await assert.rejects(stat(join(place.path, 'elsewhere')), { code: 'ENOENT' })
})

test('a health file of another user is touched if it may be written, and never emptied', async (context) => {
  if (process.getuid?.() !== 0) return context.skip('only root can make a file of somebody else')
  await using place = await freshPlace()
  const file = join(place.path, 'alive')
  await writeFile(file, 'precious')
  await chmod(file, 0o666)
  await chown(place.path, 1_234, 1_234)
  const [warning = ''] = await beatAs(1_234, file)
  assert.match(warning, /EPERM/)
  assert.equal(await readFile(file, 'utf8'), 'precious')
  await writeFile(file, '')
  await utimes(file, 1, 1)
  assert.deepEqual(await beatAs(1_234, file), [])
  assert.ok((await stat(file)).mtimeMs > 1_000)
})
