import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LAUNCHER } from '../support/compiled.ts'
import type { TestDatabase } from '../support/engines.ts'

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))
const DIE_AT = new URL('die-at.ts', import.meta.url).href
/** The first statement of a run of the job mentions this, so that the purge is killed and not the start-up. */
const BEGINNING = 'maintenance_archives'

export interface Ended {
  readonly killed: boolean
  readonly code: number | null
  readonly output: string
  readonly moments: number
}

export const PURGE = ['--run-now', '--job', 'purge-audit-logs', '--accept-empty-table']

/** A compiled copy starts in a third of the time that the source takes. */
function commandOf(): string {
  return join(process.env['TEST_PACKAGE_ROOT'] ?? CHECKOUT, LAUNCHER)
}

/** Runs the program, and kills it at this moment; 0: never. */
export function runs(
  url: string,
  directory: string,
  dieAt: number,
  words: readonly string[] = PURGE,
  settings: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const child = spawn(process.execPath, ['--import', DIE_AT, commandOf(), ...words], {
    cwd: tmpdir(),
    env: {
      PATH: process.env['PATH'],
      DATABASE_URL: url,
      ARCHIVE_ENABLED: 'true',
      ARCHIVE_DIRECTORY: directory,
      DIE_AT: String(dieAt),
      DIE_FROM: BEGINNING,
      ...settings,
    },
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
  return new Promise((resolve) =>
    child.once('close', (code, signal) =>
      resolve({ killed: signal === 'SIGKILL', code, output, moments: Number(/moments (\d+)/.exec(output)?.[1] ?? NaN) }),
    ),
  )
}

/** A generator of random numbers from 0 up to 1, repeatable by its seed. */
export function random(from: number): () => number {
  let state = from >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export async function idsInTable(outside: TestDatabase): Promise<number[]> {
  return (await outside.sql<{ id: number }>('SELECT id FROM audit_logs ORDER BY id')).map(({ id }) => id)
}

/** Lets the lease of the killed worker expire without waiting. */
export async function forgetLease(outside: TestDatabase): Promise<void> {
  await outside.sql('UPDATE maintenance_leases SET expires_at = 0')
}

export function verify(
  url: string,
  directory: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [commandOf(), 'archive', 'verify'], {
    env: { PATH: process.env['PATH'], DATABASE_URL: url, ARCHIVE_DIRECTORY: directory, ...settings },
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })))
}
