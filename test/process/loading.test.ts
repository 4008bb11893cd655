import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { CHECKOUT } from '../shipping/checkout.ts'
import { command } from '../support/command.ts'
import { loadedBy, TELLING_LOADS } from '../support/loading.ts'

/** Packages that a start can do without are a third of its time, and memory of the worker's for as long as it runs. */
const AVOIDABLE = ['better-sqlite3', 'cronstrue', 'node-cron', 'pg', 'pino', 'pino-pretty', 'prom-client', 'yaml']

async function loaded(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<readonly string[]> {
  const addresses = await spied(words, env)
  return AVOIDABLE.filter((name) => addresses.some((address) => address.includes(`/node_modules/${name}/`)))
}

/** The source, whose modules have names. */
async function spied(words: readonly string[], env: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'loading-'))
  try {
    const { stderr } = await command(words, { cwd: folder, env: { ...TELLING_LOADS, ...env }, packageRoot: CHECKOUT })
    assert.match(stderr, /^loads .*src\/main\.ts$/m)
    return loadedBy(stderr)
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('--version and --help load no driver, log, clock or parser', async () => {
  assert.deepEqual(await loaded(['--version']), [])
  assert.deepEqual(await loaded(['--help']), [])
})

test('a run on a file loads its driver, and neither the other, nor the clock, nor text for terminals', async () => {
  assert.deepEqual(await loaded(['--run-now']), ['better-sqlite3', 'pino'])
})

test('a run on a server loads its driver and not the other', async () => {
  const env = { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/nothing', DATABASE_CONNECT_TIMEOUT: '0s' }
  assert.deepEqual(await loaded(['--run-now'], env), ['pg', 'pino'])
})

test('a run that has nothing to do loads no data of languages and time zones', async () => {
  const spy = `data:text/javascript,${encodeURIComponent(
    "import { writeSync } from 'node:fs'; for (const name of ['DateTimeFormat', 'NumberFormat']) Intl[name] = new Proxy(Intl[name], { construct(made, words) { writeSync(2, `asks ${name}\\n`); return new made(...words) } })",
  )}`
  const folder = await mkdtemp(join(tmpdir(), 'loading-'))
  try {
    const run = async (env: Readonly<Record<string, string>>): Promise<string> =>
      (await command(['--run-now'], { cwd: folder, env: { NODE_OPTIONS: `--import=${spy}`, ...env } })).stderr
    assert.doesNotMatch(await run({}), /^asks /m)
    assert.match(await run({ DATABASE_TIME_ZONE: 'Europe/Berlin' }), /^asks DateTimeFormat$/m)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('the page and its server are loaded only by a worker that serves them', async () => {
  // What a host may look like is also asked by the settings.
  const server = /\/src\/http\/(?!hosts\.ts)|\/src\/status\//
  const env = { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/nothing', DATABASE_CONNECT_TIMEOUT: '0s' }
  assert.deepEqual(
    (await spied([], env)).filter((address) => server.test(address)),
    [],
  )
  const served = await spied([], { ...env, HTTP_ENABLED: 'true', HTTP_PORT: '0' })
  assert.ok(served.some((address) => address.endsWith('/src/http/page/page.ts')))
})

test('what a person at a terminal sees is not loaded off a terminal', async () => {
  assert.deepEqual(
    (await spied(['--run-now'], {})).filter((address) => address.includes('/src/terminal/')),
    [],
  )
})

test('servers and metrics are loaded only if they are enabled', async () => {
  assert.deepEqual(await loaded(['--run-now'], { HTTP_ENABLED: 'true' }), ['better-sqlite3', 'pino'])
  assert.deepEqual(await loaded(['--run-now', '--dry-run'], { METRICS_TEXTFILE: 'x.prom' }), ['better-sqlite3', 'pino'])
  const written = await loaded(['--run-now'], { METRICS_TEXTFILE: 'x.prom' })
  assert.ok(written.includes('prom-client'))
})
