import { setTimeout as sleep } from 'node:timers/promises'

/** For a machine with much else to do; a test that waits longer waits for what does not come. */
const LONGEST_MS = 60_000

/** Asks again and again until there is an answer. Rejects, and so ends the test, when there has been none for a minute. */
export async function until<T>(what: string, ask: () => Promise<T | undefined>, pauseMs = 20): Promise<T> {
  const beganMs = performance.now()
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() - beganMs > LONGEST_MS) throw new Error(`waited a minute until ${what}`)
    await sleep(pauseMs)
  }
}
