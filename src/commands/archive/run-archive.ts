import type { ExitCode } from '../../errors.ts'
import { withProgram, type ProgramOptions } from '../../program.ts'
import type { ArchiveCommand } from './archive-arguments.ts'
import { openArchive } from './open-archive.ts'

/** `archive verify`, `archive list`, `archive restore`, `archive reconcile`: the answer on standard output. They work with archiving switched off too. */
export function runArchive(options: Omit<ProgramOptions, 'access' | 'lasting'>, command: ArchiveCommand): Promise<ExitCode> {
  const access = command.action === 'list' || (command.action === 'reconcile' && command.dryRun) ? 'read' : 'existing'
  return withProgram({ ...options, access, lasting: false, answer: {} }, async (program) => {
    const archive = await openArchive(program)
    switch (command.action) {
      case 'verify':
        return (await import('./archive-verify.ts')).verifyArchive(program, archive, command)
      case 'list':
        return (await import('./archive-list.ts')).listArchive(program, archive, command)
      case 'restore':
        return (await import('./archive-restore.ts')).restoreArchive(program, archive, command)
      case 'reconcile':
        return (await import('./archive-reconcile.ts')).reconcileArchive(program, archive, command)
    }
  })
}
