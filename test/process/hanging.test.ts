import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { filesIn } from '../archive/support.ts'
import { auditLogs } from '../runs/support.ts'
import { command, events, start } from '../support/command.ts'
import { ENGINES, sqliteDatabase } from '../support/engines.ts'
import { freshPlace, NO_FILES } from '../support/unusual-files.ts'

const SHUTDOWN = join(import.meta.dirname, '../../src/shutdown.ts')
const PROMISED_MS = 8_000

/** A process that never ends of itself, with one of Node's threads waiting in the kernel, as for a file server that is gone. */
const HANGING = `
  import { open } from 'node:fs/promises'
  import { listenForSignals } from ${JSON.stringify(SHUTDOWN)}
  const shutdown = listenForSignals()
  open(process.argv[1], 'r').catch(() => {})
  setInterval(() => {}, 1_000)
  console.log('ready')
`

/** How long it took, and what came of it. */
async function ends(words: readonly string[], signal: NodeJS.Signals): Promise<{ readonly took: number; readonly ended: unknown[] }> {
  const child = spawn(words[0]!, words.slice(1), { stdio: ['ignore', 'pipe', 'ignore'] })
  await once(child.stdout, 'data')
  const begun = performance.now()
  const ended = once(child, 'close')
  const timer = setTimeout(() => child.kill('SIGKILL'), 2 * PROMISED_MS)
  if (words[0] === 'unshare') await promisify(execFile)('sh', ['-c', `kill -${signal.slice(3)} $(cat /proc/${child.pid}/task/*/children)`])
  else child.kill(signal)
  const result = await ended
  clearTimeout(timer)
  return { took: performance.now() - begun, ended: result }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} ends a process in time whose threads hang`, async () => {
    await using place = await freshPlace()
    const pipe = join(place.path, 'pipe')
    await promisify(execFile)('mkfifo', [pipe])
    const { took, ended } = await ends([process.execPath, '--input-type=module', '--eval', HANGING, pipe], signal)
    assert.deepEqual(ended, [null, signal])
    assert.ok(took < PROMISED_MS, `${took} ms`)
  })
}

test('SIGTERM ends the first process of a container in time whose threads hang', async (context) => {
  const namespace = ['unshare', '--user', '--map-root-user', '--pid', '--fork']
  const possible = await promisify(execFile)(namespace[0]!, [...namespace.slice(1), 'true']).then(
    () => true,
    () => false,
  )
  if (!possible) return context.skip('a process namespace cannot be made here: unshare and user namespaces are needed')
  await using place = await freshPlace()
  const pipe = join(place.path, 'pipe')
  await promisify(execFile)('mkfifo', [pipe])
  const { took } = await ends([...namespace, process.execPath, '--input-type=module', '--eval', HANGING, pipe], 'SIGTERM')
  assert.ok(took < PROMISED_MS, `${took} ms`)
})

/** Each where the program reads or writes; the work it does otherwise is done. */
for (const { name, make } of NO_FILES) {
  test(`${name} in the place of the health file and of the textfile hangs nothing`, async () => {
    await using database = await sqliteDatabase()
    await using place = await freshPlace()
    const [health, textfile] = [join(place.path, 'alive'), join(place.path, 'm.prom')]
    await make(health)
    await make(textfile)
    const env = { DATABASE_URL: database.url, HEALTH_FILE: health, METRICS_TEXTFILE: textfile }
    const run = await command(['--run-now'], { env, timeoutMs: 30_000 })
    assert.equal(run.code, 0, run.stdout)
    assert.match(String(events(run, 'warning').at(-1)?.['msg']), /m\.prom is a .*, and a regular file is needed/)

    const worker = start([], { env, timeoutMs: 30_000 })
    await worker.line((line) => /alive is a .*, and a regular file is needed/.test(String(line['msg'])))
    await worker.line((line) => line['event'] === 'migrations.current')
    worker.kill('SIGTERM')
    assert.equal((await worker.ended).code, 0)
  })

  test(`${name} in the place of a file of the archive hangs neither a run nor a verification`, async () => {
    const engine = ENGINES[0]!
    await using database = await engine.fresh()
    await using place = await freshPlace()
    const env = { DATABASE_URL: database.url, ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: join(place.path, 'archive') }
    assert.equal((await command(['migrate'], { env })).code, 0)
    await auditLogs(database, engine, 5, 101)
    const words = ['--run-now', '--job', 'purge-audit-logs', '--accept-empty-table']
    assert.equal((await command(words, { env })).code, 0)
    await auditLogs(database, engine, 7, 100)
    const aside = join(place.path, 'aside')
    await mkdir(aside)
    for (const suffix of ['.ndjson.zst', '.json']) {
      const file = join(place.path, 'archive', (await filesIn(join(place.path, 'archive'), suffix))[0]!)
      await rename(file, join(aside, 'file'))
      await make(file)
      const run = await command(words, { env, timeoutMs: 30_000 })
      assert.equal(run.code, 1, run.stdout)
      assert.match(run.stdout, /ARCHIVE_DAMAGED|is a (?:folder|named pipe|symbolic link)/)
      const verify = await command(['archive', 'verify'], { env, timeoutMs: 30_000 })
      assert.equal(verify.code, 1, verify.stdout)
      assert.equal((await command(['archive', 'restore'], { env, timeoutMs: 30_000 })).code, 1)
      await command(['archive', 'list'], { env, timeoutMs: 30_000 })
      await rename(file, `${aside}-${suffix}`)
      await rename(join(aside, 'file'), file)
    }
    assert.equal((await database.sql<{ n: number }>('SELECT count(*) AS n FROM audit_logs'))[0]!.n, 7)
  })
}
