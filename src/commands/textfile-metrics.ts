import { messageOf } from '../errors.ts'
import type { Program } from '../program.ts'
import { SECOND } from '../time/clock.ts'

/** What waits is looked at once more at the end. */
const LONGEST_LOOK_MS = 5 * SECOND

/** Writes the metrics of a run to the textfile, where one is asked for. The run is done whether or not it works. */
export async function writeTextfileMetrics(program: Program): Promise<void> {
  const { host, settings, events, metrics } = program
  const { textfile } = settings.metrics
  if (metrics === undefined || textfile === undefined) return
  const [{ latestStatusOf }, { writeTextfile }] = await Promise.all([import('./latest-status.ts'), import('../observe/textfile.ts')])
  try {
    const { status } = await latestStatusOf(program).within({ freshMs: 0, waitMs: LONGEST_LOOK_MS })
    if (status !== undefined) metrics.know(status)
    await writeTextfile(textfile, await metrics.text(), host.worker)
  } catch (error) {
    events.warning(`the metrics of this run could not be written to ${textfile}: ${messageOf(error)}`)
  }
}
