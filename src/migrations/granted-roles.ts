import type { Database } from '../database/database.ts'
import { plural } from '../number-text.ts'
import type { MigrationFile } from './migration-files.ts'

/** Who may update it runs jobs; made by migration 002. */
const LEASES = 'maintenance_leases'

/** The roles to which this file grants rights: those that run jobs, but for the one that migrates, which owns what it makes. */
export async function grantedRoles(database: Database, { script }: MigrationFile): Promise<readonly string[]> {
  return script.grants.length === 0 ? [] : database.updatersOf(LEASES)
}

export function grantingSentence(path: string, rights: readonly string[], roles: readonly string[]): string {
  return `${path} gives ${plural(roles.length, 'role')} ${roles.join(', ')}, which ${plural(roles.length, 'runs', 'run')} jobs, ${rights.join('; ')}`
}
