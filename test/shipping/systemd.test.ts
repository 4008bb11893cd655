import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { NODE_OPTIONS } from '../../bench/processes/node-options.ts'
import { parseCommand } from '../../src/cli/parse.ts'
import { CHECKOUT, run, type Done } from './checkout.ts'
import { ENVIRONMENT } from './offered.ts'

const FOLDER = `${CHECKOUT}deploy/systemd/`
const WORKER = 'mcp-gateway-maintenance.service'
const ONCE = 'mcp-gateway-maintenance-once.service'
const TIMER = 'mcp-gateway-maintenance-once.timer'
const VERIFY = 'mcp-gateway-maintenance-archive-verify.service'
const VERIFY_TIMER = 'mcp-gateway-maintenance-archive-verify.timer'
const DOCTOR = 'mcp-gateway-maintenance-doctor.service'
const DOCTOR_TIMER = 'mcp-gateway-maintenance-doctor.timer'
const FAILED = 'mcp-gateway-maintenance-failed@.service'
const units = new Map<string, string>()
for (const name of [WORKER, ONCE, TIMER, VERIFY, VERIFY_TIMER, DOCTOR, DOCTOR_TIMER, FAILED])
  units.set(name, await readFile(`${FOLDER}${name}`, 'utf8'))
/** The first version that analyses the security of a file. */
const ANALYZER = 250
const { stdout: analyzer } = await run('systemd-analyze', ['--version'], { cwd: '/' })
const skip = Number(/^systemd (\d+)/.exec(analyzer)?.[1] ?? 0) < ANALYZER && `systemd-analyze ${ANALYZER} or newer is not on this machine`

const WORDS: Readonly<Record<string, readonly string[]>> = {
  [WORKER]: [],
  [ONCE]: ['--run-now'],
  [VERIFY]: ['archive', 'verify'],
  [DOCTOR]: ['doctor'],
}

/** Every value of a key, in order. */
function values(name: string, key: string): string[] {
  return [...(units.get(name) ?? '').matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map((match) => match[1]!)
}

function hardening(name: string): string {
  return (units.get(name) ?? '').split('# Nothing but the database and the journal.')[1]!.split('[Install]')[0]!
}

describe('the systemd units', () => {
  it('are accepted by systemd without a warning', { skip }, async () => {
    const done = await analyzed(['verify'], units.keys())
    assert.deepEqual(done, { code: 0, stdout: '', stderr: '' })
  })

  for (const name of [WORKER, ONCE, VERIFY, DOCTOR]) {
    it(`${name} is exposed to at most 2.0 of 10`, { skip }, async () => {
      // The threshold is in tenths.
      const done = await analyzed(['security', '--offline=yes', '--threshold=20'], [name])
      assert.equal(done.code, 0, done.stdout + done.stderr)
    })

    it(`${name} runs as the gateway's user and takes no files from it`, () => {
      assert.deepEqual([values(name, 'User'), values(name, 'Group')], [['mcp-gateway'], ['mcp-gateway']])
      assert.deepEqual(values(name, 'StateDirectory'), [], 'systemd would give the folder and all in it to User=')
    })

    it(`${name} passes the database URL as a credential, under the name that the program reads`, () => {
      const [credential = ''] = values(name, 'LoadCredential')
      assert.deepEqual(values(name, 'Environment'), [
        `DATABASE_URL_FILE=/run/credentials/%n/${credential.split(':')[0]!}`,
        // Its content is tested in test/shipping/simulated-days.test.ts.
        ...(name === ONCE
          ? ['MAINTENANCE_CONFIG=/opt/mcp-gateway-maintenance/node_modules/mcp-gateway-maintenance/config/nightly.yaml']
          : []),
        `NODE_OPTIONS=${NODE_OPTIONS}`,
      ])
      assert.ok(ENVIRONMENT.has('DATABASE_URL_FILE'))
    })

    it(`${name} may ${name === VERIFY ? 'not ' : ''}write where the documents put the archive, and starts if a folder is missing`, async () => {
      const folders = values(name, 'ReadWritePaths')
      assert.ok(folders.every((folder) => folder.startsWith('-/')))
      const [, archive = ''] = /ARCHIVE_DIRECTORY=(\/var\/lib\/\S+)'/.exec(await readFile(`${CHECKOUT}docs/archive.md`, 'utf8')) ?? []
      assert.ok(archive !== '')
      assert.equal(folders.includes(`-${archive}`), name !== VERIFY)
    })

    it(`${name} starts an installed package with arguments that exist`, () => {
      const [start = ''] = values(name, 'ExecStart')
      const [program = '', ...words] = start.split(' ')
      assert.equal(program, '/opt/mcp-gateway-maintenance/node_modules/.bin/mcp-gateway-maintenance')
      parseCommand(words)
      assert.deepEqual(words, WORDS[name])
    })

    it(`${name} gives the program enough time to stop, and kills only what is left`, () => {
      assert.ok(Number.parseInt(values(name, 'TimeoutStopSec')[0]!, 10) > 8)
      assert.deepEqual(values(name, 'KillMode'), ['mixed'])
    })
  }

  it('the worker is restarted until it runs, but not if a person must correct something', () => {
    assert.deepEqual(values(WORKER, 'Type'), ['exec'])
    assert.deepEqual(values(WORKER, 'RestartPreventExitStatus'), ['2 4'])
    assert.deepEqual(values(WORKER, 'Restart'), ['on-failure'])
    assert.deepEqual(values(WORKER, 'StartLimitIntervalSec'), ['0'])
  })

  it('on-failure.conf starts the example that notifies somebody, for any of the services', { skip }, async () => {
    const text = await readFile(`${FOLDER}on-failure.conf`, 'utf8')
    assert.match(text, /^OnFailure=mcp-gateway-maintenance-failed@%n\.service$/m)
    assert.match(text, new RegExp(`/etc/systemd/system/${ONCE.replaceAll('.', '\\.')}\\.d/on-failure\\.conf$`, 'm'))
    for (const name of [WORKER, ONCE, VERIFY, DOCTOR])
      assert.deepEqual(await analyzed(['verify'], [name], text), { code: 0, stdout: '', stderr: '' }, name)
    // An unknown name is reported.
    assert.notEqual((await analyzed(['verify'], [ONCE], text.replace('OnFailure=', 'OnFailures='))).stderr, '')
    assert.deepEqual([values(FAILED, 'Type'), values(WORKER, 'OnFailure'), values(ONCE, 'OnFailure')], [['oneshot'], [], []])
  })

  for (const [name, longest] of [
    [ONCE, '6h'],
    [VERIFY, '6h'],
    [DOCTOR, '10min'],
  ] as const) {
    it(`${name} ends by itself, is not restarted, and is stopped after ${longest}`, () => {
      assert.deepEqual(values(name, 'Type'), ['oneshot'])
      assert.deepEqual(values(name, 'Restart'), [])
      assert.deepEqual(values(name, 'TimeoutStartSec'), [longest])
    })
  }

  it('the services are hardened alike', () => {
    for (const name of [ONCE, VERIFY, DOCTOR]) assert.equal(hardening(name).trim(), hardening(WORKER).trim())
  })

  for (const [timer, service, next] of [
    [TIMER, ONCE, '2026-03-02 03:00:00 UTC'],
    [VERIFY_TIMER, VERIFY, '2026-03-08 05:00:00 UTC'],
    [DOCTOR_TIMER, DOCTOR, '2026-03-02 06:00:00 UTC'],
  ] as const) {
    it(`${timer} starts its service, even if a time was missed`, { skip }, async () => {
      assert.deepEqual([values(timer, 'Persistent'), values(timer, 'WantedBy'), values(timer, 'Unit')], [['true'], ['timers.target'], []])
      assert.equal(timer.replace(/timer$/, 'service'), service)
      const [calendar = ''] = values(timer, 'OnCalendar')
      const done = await run('systemd-analyze', ['calendar', '--base-time=2026-03-01 12:00:00 UTC', calendar], { cwd: '/' })
      assert.equal(done.code, 0, done.stderr)
      assert.ok(done.stdout.includes(next), done.stdout)
    })
  }
})

/** Analyses copies of the units whose program exists: the real one exists only where somebody installs it. */
async function analyzed(words: readonly string[], names: Iterable<string>, dropIn?: string): Promise<Done> {
  const folder = await mkdtemp(join(tmpdir(), 'maintenance-unit-'))
  try {
    for (const [name, text] of units) await writeFile(join(folder, name), text.replace(/^ExecStart=.*$/m, 'ExecStart=/bin/sh'))
    for (const name of dropIn === undefined ? [] : names) {
      await mkdir(join(folder, `${name}.d`))
      await writeFile(join(folder, `${name}.d/on-failure.conf`), dropIn!)
    }
    return await run('systemd-analyze', [...words, '--no-pager', ...[...names].map((name) => join(folder, name))], { cwd: folder })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
