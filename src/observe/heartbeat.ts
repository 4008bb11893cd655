import { utimes, writeFile } from 'node:fs/promises'
import { messageOf } from '../errors.ts'
import { SECOND, type Clock } from '../time.ts'

const BEAT_MS = 30 * SECOND

/** A heart that beats until `stopping`; `ended` resolves then. */
export interface Heartbeat {
  readonly ended: Promise<void>
}

/** Touches the health file, and again every 30 s; a file that cannot be written is told once and tried on. Resolves after the first touch. */
export async function startHeartbeat(
  file: string,
  clock: Clock,
  warn: (message: string) => void,
  stopping: AbortSignal,
): Promise<Heartbeat> {
  let warned = false
  const beat = async (): Promise<void> => {
    try {
      await touch(file, clock)
    } catch (error) {
      if (!warned) warn(`the health file ${file} cannot be written, so a health check that reads it will fail: ${messageOf(error)}`)
      warned = true
    }
  }
  const goOn = async (): Promise<void> => {
    while (!stopping.aborted) {
      await clock.sleep(BEAT_MS, stopping)
      await beat()
    }
  }
  await beat()
  return { ended: goOn() }
}

async function touch(file: string, clock: Clock): Promise<void> {
  const seconds = clock.now() / SECOND
  await utimes(file, seconds, seconds).catch(() => writeFile(file, '', { mode: 0o640 }))
}
