// The reference of the HTTP API, drawn from /openapi.json. All texts are set as text, never as HTML.

const METHODS = ["get", "post", "put", "delete"];
const DEEPEST = 6; // levels of an example: further ones would be the same thing again

/** An element with attributes and children; texts become text. */
function element(name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Paragraphs of a description, with its `code`. */
function paragraphs(text) {
  return (text ?? "").split(/\n\s*\n/).filter(Boolean).map((one) => {
    const pieces = one.split("`").map((piece, i) => (i % 2 ? element("code", {}, piece) : piece));
    return element("p", {}, ...pieces);
  });
}

class Reference {
  constructor(api) {
    this.api = api;
  }

  /** A schema with its `$ref` followed. */
  followed(schema = {}) {
    if (!schema.$ref) return schema;
    const found = schema.$ref.split("/").slice(1).reduce((at, part) => at?.[part], this.api);
    return { ...found, ...schema, $ref: undefined, name: schema.$ref.split("/").pop() };
  }

  /** The schemas that a schema may be one of, null left out. */
  choices(schema) {
    const one = this.followed(schema);
    return (one.anyOf ?? one.oneOf ?? [one]).map((each) => this.followed(each)).filter((each) => each.type !== "null");
  }

  /** A type in words: `text`, `list of number`, `one of "a", "b"`. */
  type(schema) {
    return this.choices(schema).map((one) => {
      if (one.enum) return `one of ${one.enum.map((value) => JSON.stringify(value)).join(", ")}`;
      if (one.const !== undefined) return JSON.stringify(one.const);
      if (one.type === "array") return `list of ${this.type(one.items)}`;
      if (one.format === "binary" || one.contentMediaType) return "file";
      return { string: "text", integer: "whole number", boolean: "true or false" }[one.type] ?? one.type ?? "any";
    }).join(" or ") + this.range(schema) + (this.nullable(schema) ? " or null" : "");
  }

  nullable(schema) {
    return (this.followed(schema).anyOf ?? []).some((one) => one.type === "null");
  }

  range(schema) {
    const { minimum, maximum } = this.followed(schema);
    if (minimum === undefined && maximum === undefined) return "";
    return `, ${minimum ?? "…"} to ${maximum ?? "…"}`;
  }

  /** What an object has, as a list; objects within are folded. Null for what has no fields. */
  fields(schema, open = false) {
    const found = this.choices(schema).map((one) => (one.type === "array" ? this.choices(one.items) : [one])).flat();
    const one = found.find((each) => each.properties);
    if (!one) return null;
    const list = element("dl");
    for (const [name, property] of Object.entries(one.properties)) {
      const needed = one.required?.includes(name) ? ", required" : "";
      list.append(element("dt", {}, element("code", {}, name), element("small", {}, this.type(property) + needed)));
      list.append(element("dd", {}, ...paragraphs(this.followed(property).description), this.folded(property)));
    }
    return open ? list : this.fold(list, one.title ?? one.name ?? "fields");
  }

  /** The fields of an object within another, drawn when they are unfolded, since schemas may hold themselves. */
  folded(schema) {
    const inner = this.choices(schema).flatMap((one) => (one.type === "array" ? this.choices(one.items) : [one]));
    const one = inner.find((each) => each.properties);
    if (!one) return null;
    const details = element("details", {}, element("summary", {}, one.title ?? one.name ?? "fields"));
    details.addEventListener("toggle", () => details.append(this.fields(one, true)), { once: true });
    return details;
  }

  fold(list, title) {
    return element("details", {}, element("summary", {}, title), list);
  }

  /** An example of a schema: its own, or one made of those of its fields. */
  example(schema, depth = 0) {
    const one = this.followed(schema);
    const given = one.examples?.[0] ?? one.example ?? one.const ?? one.enum?.[0];
    if (given !== undefined) return given;
    const [chosen] = this.choices(one);
    if (!chosen || depth > DEEPEST) return null;
    if (chosen !== one && chosen.examples) return chosen.examples[0];
    if (chosen.properties) {
      const wanted = Object.entries(chosen.properties).filter(
        ([name, property]) => chosen.required?.includes(name) || property.examples,
      );
      return Object.fromEntries(wanted.map(([name, property]) => [name, this.example(property, depth + 1)]));
    }
    if (chosen.type === "array") return [this.example(chosen.items, depth + 1)];
    return { string: "text", integer: 1, number: 0.5, boolean: true, object: {} }[chosen.type] ?? null;
  }

  /** A command that asks for it. */
  curl(method, path, operation) {
    const address = path.replace(/\{(\w+)[^}]*\}/g, (_, name) => {
      const parameter = (operation.parameters ?? []).find((one) => one.name === name) ?? {};
      return encodeURIComponent(this.example({ ...parameter.schema, ...parameter }) ?? name);
    });
    const asked = (operation.parameters ?? []).filter(
      (one) => one.in === "query" && (one.required || one.examples || one.schema?.examples),
    );
    const query = asked.map((one) => `${one.name}=${encodeURIComponent(this.example({ ...one.schema, ...one }))}`).join("&");
    const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}'${location.origin}${address}${query && `?${query}`}'`];
    const [kind, body] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
    if (kind === "application/json") {
      lines.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(this.example(body.schema)).replaceAll("'", "'\\''")}'`);
    } else if (kind) {
      const needed = this.followed(body.schema);
      for (const name of needed.required ?? []) lines.push(`-F ${name}=${this.type(needed.properties[name]) === "file" ? "@photo.jpg" : "…"}`);
    }
    return element("pre", {}, element("code", {}, lines.join(" \\\n  ")));
  }

  parameters(operation) {
    if (!operation.parameters?.length) return [];
    const list = element("dl");
    for (const one of operation.parameters) {
      const about = `${this.type(one.schema)}, in the ${one.in}${one.required ? ", required" : ""}`;
      list.append(element("dt", {}, element("code", {}, one.name), element("small", {}, about)));
      list.append(element("dd", {}, ...paragraphs(one.description)));
    }
    return [element("h3", {}, "Parameters"), list];
  }

  body(operation) {
    return Object.entries(operation.requestBody?.content ?? {}).flatMap(([kind, body]) => {
      const json = kind === "application/json" ? this.json(body.schema) : null;
      return [element("h3", {}, `Body: ${kind}`), this.fields(body.schema, true) ?? this.type(body.schema), json];
    });
  }

  json(schema) {
    return element("pre", {}, element("code", {}, JSON.stringify(this.example(schema), null, 2)));
  }

  answers(operation) {
    return Object.entries(operation.responses ?? {}).filter(([status]) => status < 400).flatMap(([status, answer]) => {
      const [kind, body] = Object.entries(answer.content ?? {})[0] ?? [];
      const schema = body?.schema && Object.keys(body.schema).length ? body.schema : null;
      const title = element("h3", {}, `Answer ${status}${kind ? `: ${kind}` : ""}`);
      return schema && kind === "application/json" ? [title, this.fields(schema, true) ?? this.type(schema), this.json(schema)] : [title, ...paragraphs(answer.description)];
    });
  }

  operation(method, path, operation) {
    const summary = element("summary", {},
      element("span", { className: "method" }, method.toUpperCase()),
      element("span", { className: "path" }, path),
      element("span", { className: "says" }, operation.summary ?? ""));
    const body = element("div", { className: "body" });
    const details = element("details", { className: "operation", id: operation.operationId }, summary, body);
    details.addEventListener("toggle", () => {
      body.append(...paragraphs(operation.description), this.curl(method, path, operation), ...this.parameters(operation),
        ...this.body(operation).filter(Boolean), ...this.answers(operation).filter(Boolean));
    }, { once: true });
    return details;
  }

  errors() {
    const schema = this.api.components?.schemas?.ErrorAnswer;
    if (!schema) return [];
    const one = Object.values(this.api.paths).flatMap(Object.values).find((each) => each.responses?.[404]);
    const list = element("dl");
    for (const [status, answer] of Object.entries(one?.responses ?? {}).filter(([status]) => status >= 400)) {
      list.append(element("dt", {}, status), element("dd", {}, ...paragraphs(answer.description)));
    }
    return [element("h2", { id: "errors" }, "Errors"), element("p", {}, "Every error has this shape."), this.json(schema), list];
  }

  draw(main, contents) {
    const { info, paths } = this.api;
    main.replaceChildren(element("h1", {}, `${info.title} ${info.version}`), ...paragraphs(info.description));
    contents.replaceChildren(element("a", { href: "./" }, "Search"), element("a", { href: "openapi.json" }, "openapi.json"));
    const groups = new Map();
    for (const [path, methods] of Object.entries(paths)) {
      for (const method of METHODS.filter((each) => methods[each])) {
        const tag = methods[method].tags?.[0] ?? "other";
        groups.set(tag, [...(groups.get(tag) ?? []), [method, path, methods[method]]]);
      }
    }
    for (const [tag, operations] of groups) {
      main.append(element("h2", {}, tag), ...operations.map((one) => this.operation(...one)));
      contents.append(element("b", {}, tag));
      contents.append(...operations.map(([, , one]) => element("a", { href: `#${one.operationId}` }, one.summary ?? one.operationId)));
    }
    main.append(...this.errors());
    contents.append(element("a", { href: "#errors" }, "Errors"));
  }
}

/** Unfold what the address names. */
function unfold() {
  const named = document.getElementById(location.hash.slice(1));
  if (named instanceof HTMLDetailsElement) named.open = true;
  named?.scrollIntoView();
}

try {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  new Reference(await answer.json()).draw(document.getElementById("reference"), document.getElementById("contents"));
  addEventListener("hashchange", unfold);
  unfold();
} catch (error) {
  document.getElementById("state").textContent = `openapi.json cannot be read: ${error.message}`;
}
