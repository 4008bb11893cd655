import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Workspace } from '../workspace.ts'
import { NODE_OPTIONS } from './node-options.ts'

/** One of our scripts in a separate process, which answers one request after another. */
export interface Child extends AsyncDisposable {
  /** Rejects with the error of the process if it failed. */
  ask<T>(question: object): Promise<T>
}

/** The question determines the type of the answer. */
type Answer<T> = { readonly answer: T } | { readonly error: string }

export function startChild(workspace: Workspace, script: URL): Child {
  const child = fork(script, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env: { ...process.env, NODE_OPTIONS } })
  workspace.children.add(child)
  return {
    ask: <T>(question: object) =>
      new Promise<T>((resolve, reject) => {
        const died = (): void => reject(new Error(`${script.pathname} ended before it answered`))
        child.once('exit', died)
        child.once('message', (message: Answer<T>) => {
          child.off('exit', died)
          if ('error' in message) reject(new Error(message.error))
          else resolve(message.answer)
        })
        child.send(question)
      }),
    async [Symbol.asyncDispose]() {
      await ended(child)
      workspace.children.delete(child)
    },
  }
}

async function ended(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return
  const exit = once(process, 'exit')
  if (process.connected) process.disconnect()
  await exit
}

/** The child's side: answers each question, and ends when its parent ends. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- each script has its own questions
export function serveParent<Question>(answer: (question: Question) => Promise<unknown>): void {
  process.on('disconnect', () => process.exit())
  process.on('message', (question: Question) => {
    answer(question).then(
      (value) => process.send?.({ answer: value ?? null }),
      (error: unknown) => process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    )
  })
}

/** Milliseconds on the machine's monotonic clock, the same in every process. */
export function sharedMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
