/** Shows the API's document; asks nobody but this server for anything. */
globalThis.SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  // By default its makers' server is asked whether the document is valid.
  validatorUrl: null,
});
