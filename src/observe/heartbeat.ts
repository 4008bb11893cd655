import { constants } from 'node:fs'
import { messageOf } from '../errors.ts'
import { openOwn } from '../files.ts'
import { SECOND, type Clock } from '../time/clock.ts'

const BEAT_MS = 30 * SECOND
const MODE = 0o640

/** A heart that beats until `stopping`; `ended` resolves then. */
export interface Heartbeat {
  readonly ended: Promise<void>
}

/** Touches the health file now and every 30 s. Warns once if it cannot be written, and keeps trying. Resolves after the first touch. */
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
  const handle = await openOwn(file, constants.O_WRONLY | constants.O_CREAT, MODE)
  if (handle === undefined) throw new Error(`${file} cannot be created: its folder is missing`)
  try {
    await handle.utimes(seconds, seconds)
  } catch (error) {
    // Another user's file that we may write to: then the system sets its time. A file with content was made for another purpose.
    if ((await handle.stat()).size > 0) throw error
    await handle.truncate(0)
  } finally {
    await handle.close()
  }
}
