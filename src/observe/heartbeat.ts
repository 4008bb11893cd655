import { utimes, writeFile } from 'node:fs/promises'
import { messageOf } from '../errors.ts'
import { SECOND, type Clock } from '../time.ts'

const BEAT_MS = 30 * SECOND

/** Touches the health file now and every 30 s until `stopping`; a file that cannot be written is told once and tried on. */
export async function beat(file: string, clock: Clock, warn: (message: string) => void, stopping: AbortSignal): Promise<void> {
  let warned = false
  while (!stopping.aborted) {
    try {
      await touch(file, clock)
    } catch (error) {
      if (!warned) warn(`the health file ${file} cannot be written, so a health check that reads it will fail: ${messageOf(error)}`)
      warned = true
    }
    await clock.sleep(BEAT_MS, stopping)
  }
}

async function touch(file: string, clock: Clock): Promise<void> {
  const seconds = clock.now() / SECOND
  await utimes(file, seconds, seconds).catch(() => writeFile(file, '', { mode: 0o640 }))
}
