import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Told } from './commanding.ts'

const COMMANDING = fileURLToPath(new URL('commanding.ts', import.meta.url))

export type Way = 'start' | 'undo'

/** When a command is stopped: in a step of it, counted from 0, after so many milliseconds of it. */
export interface Moment {
  readonly step: number
  readonly afterMs: number
}

export interface Ended {
  readonly isKilled: boolean
  readonly failed: string | undefined
  /** Each step that began, and how long it took if it ended. */
  readonly steps: readonly { readonly step: string; readonly tookMs: number | undefined }[]
  readonly lockedMs: number
}

/** Runs a command to its end, or until `stop` at the moment. `stop` kills it, or the server behind it; resolves when both are still. */
export async function commanded(url: string, way: Way, moment?: Moment, stop?: (kill: () => void) => Promise<void>): Promise<Ended> {
  const child = fork(COMMANDING, [url, way], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const steps: { step: string; tookMs: number | undefined }[] = []
  let [failed, lockedMs]: [string | undefined, number] = [undefined, 0]
  let stopping: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  child.on('message', (told: Told) => {
    if ('failed' in told) ({ failed } = told)
    else if ('step' in told) {
      steps.push({ step: told.step, tookMs: undefined })
      if (steps.length - 1 === moment?.step && stop !== undefined)
        timer = setTimeout(() => {
          stopping = stop(() => void child.kill('SIGKILL'))
        }, moment.afterMs)
    } else {
      steps.at(-1)!.tookMs = told.tookMs
      lockedMs = Math.max(lockedMs, told.lockedMs ?? 0)
    }
  })
  await new Promise<void>((resolve) => child.once('exit', () => resolve()))
  clearTimeout(timer)
  await stopping
  return { isKilled: stopping !== undefined, failed, steps, lockedMs }
}
