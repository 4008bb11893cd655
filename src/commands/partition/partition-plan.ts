import type { ExitCode } from '../../errors.ts'
import { MaintenanceError } from '../../errors.ts'
import type { Program } from '../../program.ts'
import { convertedText, planText, refusedText } from '../../terminal/partition-text.ts'
import { styleOf } from '../../terminal/style.ts'
import { fullPlan, PARTITIONED_JOB, partitionsOf } from './open-partitions.ts'

/** `partition plan`: changes nothing. */
export async function planPartitions(program: Program): Promise<ExitCode> {
  const { host } = program
  const { table } = PARTITIONED_JOB
  const partitions = partitionsOf(program)
  const style = styleOf(host)
  const state = await partitions.state()
  if (state.kind === 'converted') {
    host.print(convertedText(table, state, style))
    return 0
  }
  const { plan, terms } = await fullPlan(program, partitions)
  host.print(plan.kind === 'ready' ? planText(table, plan.facts, terms, style) : refusedText(table, plan.reasons, style))
  return plan.kind === 'ready' ? 0 : new MaintenanceError('PARTITION_REFUSED', plan.reasons).exitCode
}
