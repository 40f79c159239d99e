/**
 * What a browser may do on our pages (Content-Security-Policy): nothing is loaded from or sent to anywhere but here, no
 * other page shows them in a frame, and no form is sent by the browser itself, which would put its fields into a URL.
 */
export function pagePolicy({ allowsInline }: { allowsInline: boolean }): string {
  const own = allowsInline ? "'self' 'unsafe-inline'" : "'self'";
  return [
    "default-src 'none'",
    `script-src ${own}`,
    `style-src ${own}`,
    "img-src 'self' data:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
