/** Made by migration 007: holds, what each of them kept in a run, and which files of the archive have rows of them. */
export const HOLDS = 'maintenance_holds'
export const RUN_HOLDS = 'maintenance_run_holds'
export { HELD_FILES } from '../archive/tables.ts'
export const HOLDS_MIGRATION = 'add_holds'
