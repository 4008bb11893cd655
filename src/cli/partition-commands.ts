import { command, type Command } from './command.ts'
import { ANSWER, inProgram } from './in-program.ts'

export const PARTITION_COMMANDS: readonly Command[] = [
  command({
    name: 'partition plan',
    summary: 'what turning audit_logs into partitions would do, why not, how long it takes and what it locks; changes nothing',
    options: {},
    run: (start) =>
      inProgram(start, { ...ANSWER, access: 'read' }, async (program) =>
        (await import('../commands/partition/partition-plan.ts')).planPartitions(program),
      ),
  }),
  command({
    name: 'partition start',
    summary: 'turn audit_logs into partitions, while the gateway works',
    options: {},
    run: (start) =>
      inProgram(start, { ...ANSWER, access: 'existing' }, async (program) =>
        (await import('../commands/partition/partition-start.ts')).startPartitions(program),
      ),
  }),
  command({
    name: 'partition undo',
    summary: 'back to a plain table, while the gateway works; nothing is lost',
    options: {},
    run: (start) =>
      inProgram(start, { ...ANSWER, access: 'existing' }, async (program) =>
        (await import('../commands/partition/partition-undo.ts')).undoPartitions(program),
      ),
  }),
]
