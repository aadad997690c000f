// Starts Swagger UI, whose requests are this page's own.

import { sessionHeaders } from "./session.js";

SwaggerUIBundle({
  url: document.getElementById("swagger-ui").dataset.url,
  dom_id: "#swagger-ui",
  deepLinking: true,
  requestInterceptor: (request) => {
    Object.assign(request.headers, sessionHeaders());
    return request;
  },
});
