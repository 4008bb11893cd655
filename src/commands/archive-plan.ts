import { resolve } from 'node:path'
import type { Program } from '../program.ts'
import type { ArchivePlan } from '../status/archive-status.ts'

/** The archive as the settings have it. */
export function archivePlanOf({ host, settings: { archive } }: Pick<Program, 'host' | 'settings'>): ArchivePlan {
  return { enabled: archive.enabled, directory: resolve(host.workingDirectory, archive.directory), keptMs: archive.retentionMs }
}
