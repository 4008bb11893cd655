import type { ChildProcess } from 'node:child_process'

const MOST_KEPT = 20_000

/** Resolves when standard error says so; with what it said instead, where the process cannot be started or ends. */
export function readiness(child: ChildProcess, said: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let output = ''
    child.once('error', (error) => resolve(error.message))
    child.once('exit', () => resolve(output))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (output.length < MOST_KEPT) output += text
      if (output.includes(said)) resolve(undefined)
    })
  })
}
