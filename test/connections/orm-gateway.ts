import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const SCRIPT = fileURLToPath(new URL('orm-gateway.py', import.meta.url))
/** Debian's, which has Debian's packages. */
const PYTHON = '/usr/bin/python3'

/** For a test's `skip` option. */
export function withoutSqlAlchemy(): string | false {
  try {
    execFileSync(PYTHON, ['-c', 'import sqlalchemy, psycopg2'], { stdio: 'ignore' })
    return false
  } catch {
    return 'SQLAlchemy is not installed here: apt-get install python3-sqlalchemy python3-psycopg2'
  }
}

export interface OrmReport {
  readonly ids: readonly number[]
  readonly errors: readonly string[]
  readonly reads: number
  /** The most tables beside audit_logs that it found under names that begin with it. */
  readonly partitions: number
  readonly columns: readonly string[]
}

export interface OrmGateway extends AsyncDisposable {
  /** Resolves with what came of it. */
  end(): Promise<OrmReport>
}

/** Resolves once it is connected. Disposed of, it is killed where it still runs. */
export async function startOrmGateway(url: string): Promise<OrmGateway> {
  const child = spawn(PYTHON, [SCRIPT, url.replace(/^postgres:/, 'postgresql+psycopg2:')], { stdio: ['pipe', 'pipe', 'pipe'] })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk))
  const ended = once(child, 'close')
  await Promise.race([once(child.stdout, 'data'), ended])
  return {
    async end() {
      child.stdin.end()
      const [code] = await ended
      const line = output.trim().split('\n').at(-1) ?? ''
      if (code !== 0 || !line.startsWith('{')) throw new Error(`the gateway on SQLAlchemy ended with ${code}:\n${output}${errors}`)
      return JSON.parse(line) as OrmReport
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
