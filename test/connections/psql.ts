import { execFile } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { libpqPath, type PostgresMajor } from '../support/postgres-server.ts'
import { outcomeOf, STATE, type Outcome } from './outcome.ts'

/** Debian's psql with one version of libpq. */
export interface Psql {
  readonly name: string
  /** Of its libpq. */
  readonly major: number
  connect(url: string, variables: Readonly<Record<string, string>>): Promise<Outcome>
}

/** For a test's `skip` option. */
export function withoutPsql(): string | false {
  return binary() === undefined && 'psql is not installed here: apt-get install postgresql-client'
}

/** With the libpq that it comes with, and with that of the newest server, which knows every parameter. */
export async function startPsql(newest: PostgresMajor, folder: string): Promise<readonly Psql[]> {
  const program = binary()
  if (program === undefined) throw new Error('psql is not installed')
  const version = await answer(program, ['--version'], {})
  const major = Number(/ (\d+)/.exec(version.stdout)?.[1])
  const libraries = await libpqPath(newest, join(folder, 'libpq'))
  return [
    psql(program, { name: `psql ${major}`, major }, {}),
    psql(program, { name: `psql ${major} with libpq ${newest}`, major: newest }, { LD_LIBRARY_PATH: libraries }),
  ]
}

function psql(program: string, about: Pick<Psql, 'name' | 'major'>, own: Readonly<Record<string, string>>): Psql {
  return {
    ...about,
    async connect(url, variables) {
      const words = ['--no-psqlrc', '--no-password', '--tuples-only', '--no-align', '--quiet', '--command', STATE, url]
      const { code, stdout, stderr } = await answer(program, words, { ...own, ...variables })
      return code === 0 ? { how: outcomeOf(stdout.trim(), 'psql'), why: '' } : { how: classOf(stderr), why: stderr.trim() }
    },
  }
}

/** libpq's own complaints about what it was given. */
const INVALID =
  /invalid (?:\S+ )?(?:value|port|integer|SSL protocol|URI|\w+ value)|invalid value|could not match|could not parse network address|may not be used|is specified more than once|cannot be mixed|invalid SSL protocol version range/i
const UNREACHABLE = /Connection refused|could not translate host name|timeout expired|No such file or directory\s+Is the server running/

function classOf(message: string): Outcome['how'] {
  if (INVALID.test(message)) return 'invalid'
  if (UNREACHABLE.test(message) && !message.includes('FATAL')) return 'unreachable'
  return /session is read-only|hot standby mode/.test(message) ? 'standby' : 'refused'
}

interface Answer {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function answer(program: string, words: readonly string[], env: Readonly<Record<string, string>>): Promise<Answer> {
  return new Promise((resolve) => {
    const child = execFile(program, words, { env: { LC_ALL: 'C.UTF-8', ...env }, timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
    })
    // OpenSSL asks there for the password of a key.
    child.stdin?.end()
  })
}

/** Debian's command of that name is a script that chooses among versions by rules of its own. */
function binary(): string | undefined {
  const inPath = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'psql'))
  return [...globSync('/usr/lib/postgresql/*/bin/psql').toSorted().toReversed(), ...inPath].find((path) => existsSync(path))
}
