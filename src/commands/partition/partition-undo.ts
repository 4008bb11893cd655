import { MaintenanceError, type ExitCode } from '../../errors.ts'
import type { Program } from '../../program.ts'
import { interruptedText, undoneText } from '../../terminal/partition-text.ts'
import { conversionOptions, PARTITIONED_JOB, partitionsOf, stateNow } from './open-partitions.ts'

/** `partition undo`: from any state that `start` or an earlier `undo` has left. */
export async function undoPartitions(program: Program): Promise<ExitCode> {
  const { host, shutdown } = program
  const { table } = PARTITIONED_JOB
  const partitions = partitionsOf(program)
  const before = await partitions.state()
  if (before.kind === 'plain') {
    host.print(`${table} is a plain table: nothing to undo.\n`)
    return 0
  }
  if (before.kind === 'foreign')
    throw new MaintenanceError(
      'PARTITION_REFUSED',
      `${table} was not turned into partitions by this program: ${before.reason}. Nothing was changed.`,
    )
  try {
    await partitions.undo(conversionOptions(program))
  } catch (error) {
    if (!shutdown.stopping.aborted) throw error
    host.print(interruptedText(table, 'undo', await stateNow(partitions)))
    return 0
  }
  const after = await partitions.state()
  host.print(after.kind === 'plain' ? undoneText(table) : interruptedText(table, 'undo', after))
  return 0
}
