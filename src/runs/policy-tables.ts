/** Made by migration 008: by which retention and rules runs went. */
export const POLICIES = 'maintenance_policies'
export const RUN_POLICIES = 'maintenance_run_policies'
export const POLICIES_MIGRATION = 'add_policies'
