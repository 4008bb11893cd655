import { MaintenanceError, type ExitCode } from '../../errors.ts'
import type { Program } from '../../program.ts'
import { convertedText, interruptedText, startingText } from '../../terminal/partition-text.ts'
import { styleOf } from '../../terminal/style.ts'
import { conversionOptions, fullPlan, PARTITIONED_JOB, partitionsOf, stateNow } from './open-partitions.ts'

/** `partition start`: may be stopped or killed at any moment, and goes on where it was. */
export async function startPartitions(program: Program): Promise<ExitCode> {
  const { host, shutdown } = program
  const { table } = PARTITIONED_JOB
  const partitions = partitionsOf(program)
  const style = styleOf(host)
  const before = await partitions.state()
  const { plan, terms } = await fullPlan(program, partitions)
  // What is converted is only put right where something of it is missing.
  if (before.kind !== 'converted') {
    if (plan.kind === 'refused')
      throw new MaintenanceError('PARTITION_REFUSED', [`${table} is not turned into partitions, and nothing was changed:`, ...plan.reasons])
    host.print(startingText(table, plan.facts))
  }
  try {
    await partitions.start(terms, conversionOptions(program))
  } catch (error) {
    if (!shutdown.stopping.aborted) throw error
    host.print(interruptedText(table, 'start', await stateNow(partitions)))
    return 0
  }
  const after = await partitions.state()
  if (after.kind === 'converted') host.print(convertedText(table, after, style))
  else host.print(interruptedText(table, 'start', after))
  return 0
}
