import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'

export interface OwnProcess {
  /** The Node that runs this program. */
  readonly node: string
  /** JavaScript that gets the path of the driver as its first argument. */
  readonly script: string
  readonly words: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

/** What a script writes that has a process of its own, because the driver cannot interrupt a statement from its own thread. It is killed when the signal is aborted. */
export async function writtenBy({ node, script, words, env = {}, signal }: OwnProcess): Promise<string> {
  const driver = createRequire(import.meta.url).resolve('better-sqlite3')
  const child = spawn(node, ['--eval', script, driver, ...words], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
    signal,
    killSignal: 'SIGKILL',
  })
  // Aborting is an error of the child, too.
  child.on('error', () => {})
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  await once(child, 'close')
  return text
}
