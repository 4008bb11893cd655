import { execFileSync, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { messageOf } from '../../src/errors.ts'
import { ALL_MAJORS, folderOf, packageOf, type PostgresMajor } from './postgres-server.ts'

/**
 * What `npm run test:postgres-versions` runs: the core of every room on every version of PostgreSQL that is supported, or the files that are named
 * as its arguments. The servers that `npm ci` leaves out are installed the first time; where they cannot be had, nothing runs, and it fails.
 */
function main(given: readonly string[]): Promise<number> {
  const majors = process.env['TEST_POSTGRES_MAJORS'] ?? ALL_MAJORS.join(',')
  const problem = missing()
    .map(install)
    .find((each) => each !== undefined)
  if (problem !== undefined) {
    process.stderr.write(`nothing was run: PostgreSQL ${missing().join(', ')} could not be installed (${problem})\n`)
    return Promise.resolve(1)
  }
  const files = given.some((argument) => !argument.startsWith('-')) ? [] : CORE
  const child = spawn(process.execPath, [RUN, ...given, ...files], {
    stdio: 'inherit',
    env: { ...process.env, TEST_POSTGRES_MAJORS: majors },
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
}

const RUN = fileURLToPath(new URL('run.ts', import.meta.url))

/** What asks the server something of its own: its catalogues, its locks, its types, its errors. */
const CORE = [
  'test/database/postgres/*.test.ts',
  'test/migrations/*.test.ts',
  'test/runs/*.test.ts',
  'test/status/*.test.ts',
  'test/doctor/*.test.ts',
  'test/archive/purge.test.ts',
  'test/archive/round-trip.test.ts',
  'test/archive/takeover.test.ts',
  'test/process/no-transaction.test.ts',
  'test/process/pooler.test.ts',
  'test/process/run-now.test.ts',
  'test/shipping/postgres-roles.test.ts',
]

function missing(): readonly PostgresMajor[] {
  return ALL_MAJORS.filter((major) => packageOf(major) === undefined)
}

/**
 * `undefined`: it is there; else why not. No script of a package runs, and the lock file says what each package hashes to. (`npm ci` refuses a lock file
 * without packages of other platforms that nobody published for the older versions.)
 */
function install(major: PostgresMajor): string | undefined {
  try {
    execFileSync('npm', ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'], {
      cwd: folderOf(major),
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    return undefined
  } catch (error) {
    return messageOf(error).trim().split('\n').at(-1)
  }
}

process.exitCode = await main(process.argv.slice(2))
