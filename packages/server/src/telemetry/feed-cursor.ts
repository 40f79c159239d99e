import type { CursorBinding } from '@gladhand/base/cursor.ts';

/** What a cursor of the feed is bound to; LiveFeed resumes from the same one. Its one field is a position. */
export function feedBinding(organizationId: string): CursorBinding {
  return { organizationId, query: 'feed' };
}
