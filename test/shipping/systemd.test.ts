import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { describeSettings } from '../../src/config/schema.ts'
import { CHECKOUT, run } from './checkout.ts'

const NAME = 'mcp-gateway-maintenance.service'
const unit = await readFile(`${CHECKOUT}deploy/systemd/${NAME}`, 'utf8')
/** The first that looks at the security of a file. */
const ANALYZER = 250
const { stdout: analyzer } = await run('systemd-analyze', ['--version'], { cwd: '/' })
const skip = Number(/^systemd (\d+)/.exec(analyzer)?.[1] ?? 0) < ANALYZER && `systemd-analyze ${ANALYZER} or newer is not on this machine`

/** Every value of a key, in order. */
function values(key: string): string[] {
  return [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map((match) => match[1]!)
}

describe('the systemd unit', () => {
  it('is accepted by systemd without a word', { skip }, async () => {
    const done = await analyzed(['verify'])
    assert.deepEqual(done, { code: 0, stdout: '', stderr: '' })
  })

  it('is exposed to at most 2.0 of 10', { skip }, async () => {
    // The threshold is in tenths.
    const done = await analyzed(['security', '--offline=yes', '--threshold=20'])
    assert.equal(done.code, 0, done.stdout + done.stderr)
  })

  it('does not try again what a person must put right, and tries everything else for ever', () => {
    assert.deepEqual(values('RestartPreventExitStatus'), ['2 4'])
    assert.deepEqual(values('Restart'), ['on-failure'])
    assert.deepEqual(values('StartLimitIntervalSec'), ['0'])
  })

  it('leaves the worker the time that it may take to end, and kills only what is left', () => {
    assert.ok(Number.parseInt(values('TimeoutStopSec')[0]!, 10) > 8)
    assert.deepEqual(values('KillMode'), ['mixed'])
    assert.deepEqual(values('Type'), ['exec'])
  })

  it('runs as the gateway and takes nothing from it', () => {
    assert.deepEqual([values('User'), values('Group')], [['mcp-gateway'], ['mcp-gateway']])
    assert.deepEqual(values('StateDirectory'), [], 'systemd would give the folder and all in it to User=')
  })

  it('hands over the database URL as a credential under the name that is read', () => {
    const [credential = ''] = values('LoadCredential')
    const name = credential.split(':')[0]!
    assert.deepEqual(values('Environment'), [`DATABASE_URL_FILE=/run/credentials/%n/${name}`])
    assert.ok(describeSettings().some((setting) => setting.environment.includes('DATABASE_URL_FILE')))
  })
})

/** Looks at a copy whose program exists: the real one is where a person installs it. */
async function analyzed(words: readonly string[]): Promise<{ code: number | undefined; stdout: string; stderr: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'maintenance-unit-'))
  try {
    await writeFile(join(folder, NAME), unit.replace(/^ExecStart=.*$/m, 'ExecStart=/bin/sh'))
    return await run('systemd-analyze', [...words, '--no-pager', join(folder, NAME)], { cwd: folder })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
