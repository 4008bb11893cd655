import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { foreignText } from '../../../secrets/foreign-text.ts'
import { DatabaseError } from '../../database-error.ts'

/** How long the child waits for another process's lock. */
const LOCK_MS = 10_000
const MOST_PROBLEMS = 20

/**
 * Reads every page and each row's index entries: seconds for each gigabyte, in which this thread could answer nothing, so that it is a process of its own. It only reads;
 * with a write-ahead log it keeps nobody from writing.
 */
const CHILD = `
const [driver, file, lockMs, most] = process.argv.slice(1)
const say = (answer) => process.stdout.write(JSON.stringify(answer))
try {
  const database = new (require(driver))(file, { readonly: true, fileMustExist: true, timeout: Number(lockMs) })
  database.pragma('trusted_schema = OFF')
  say({ found: database.pragma('main.quick_check(' + most + ')').map((row) => Object.values(row)[0]) })
  database.close()
} catch (error) {
  say({ code: String(error.code), message: String(error.message) })
}
`

interface Answer {
  readonly found?: readonly string[]
  readonly code?: string
  readonly message?: string
}

/** None: the file is sound. */
export async function quickCheck(file: string, node: string, signal: AbortSignal): Promise<readonly string[]> {
  const driver = createRequire(import.meta.url).resolve('better-sqlite3')
  const child = spawn(node, ['--eval', CHILD, driver, file, String(LOCK_MS), String(MOST_PROBLEMS)], {
    env: {},
    stdio: ['ignore', 'pipe', 'ignore'],
    signal,
    killSignal: 'SIGKILL',
  })
  // Aborting is an error of the child, too.
  child.on('error', () => {})
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  await once(child, 'close')
  const { found, code = '', message = 'the process ended without an answer' } = answerOf(text)
  if (found !== undefined) return found.length === 1 && found[0] === 'ok' ? [] : found.map((each) => foreignText(each))
  if (code.startsWith('SQLITE_CORRUPT') || code.startsWith('SQLITE_NOTADB')) return [foreignText(message)]
  throw new DatabaseError('failed', `${file}: its pages were not read through: ${foreignText(message)}`)
}

function answerOf(text: string): Answer {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own child wrote it
    return JSON.parse(text) as Answer
  } catch {
    return {}
  }
}
