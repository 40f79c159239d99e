// The API reference stood here before it had pages beside it. Its links name a place in it, which only a browser sees.
if (/^#(tag|model|description)/.test(location.hash)) location.replace(`/docs/api/${location.hash}`);
