import type { ChildProcess } from 'node:child_process'

const MOST_KEPT = 20_000

/** Resolves when standard error says so; with what it said instead, where the process cannot be started or ends. */
export function readiness(child: ChildProcess, said: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let output = ''
    const failed = (error: Error): void => done(error.message)
    const ended = (): void => done(output)
    const told = (text: string): void => {
      if (output.length < MOST_KEPT) output += text
      if (output.includes(said)) done(undefined)
    }
    const done = (problem: string | undefined): void => {
      child.off('error', failed).off('exit', ended).stderr?.off('data', told).resume()
      resolve(problem)
    }
    child.once('error', failed).once('exit', ended).stderr?.setEncoding('utf8').on('data', told)
  })
}
