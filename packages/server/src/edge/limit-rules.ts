import type { Allowance, IntakeAllowance } from '../limits/allowance.ts';

/** What everybody may use, from memory. */
export interface LimitRules {
  of(organizationId: string): Allowance;
  /** Undefined when there is no such product. */
  intake(product: string): IntakeAllowance | undefined;
}
