package syntax

import "bytes"

// Document is one document's text, as it stands in a file.
type Document struct {
	// Line is the 1-based line of the file where Text starts.
	Line int
	// Text is a part of the file, not a copy.
	Text []byte
}

// Split cuts a file into its documents, without parsing them, so that a mistake
// in one leaves the others alone. Parts without content are left out.
func Split(file []byte, format Format) []Document {
	if format == JSON {
		return splitJSON(file)
	}
	return splitYAML(file)
}

// splitYAML cuts at the document markers. "---" and "..." at the start of a line
// are markers wherever they stand, even within a block scalar.
func splitYAML(file []byte) []Document {
	var docs []Document
	cut := cutter{line: 1}
	line := 1
	for at := 0; at < len(file); {
		if cut.content { // nothing but a marker matters any more
			next := nextMarker(file, at)
			line += bytes.Count(file[at:next], newline)
			if at = next; at == len(file) {
				break
			}
		}
		end := lineEnd(file, at)
		text := file[at:end]
		switch {
		case isMarker(text, "---"):
			if cut.content || cut.marked {
				docs = cut.take(docs, file[:at])
				cut = cutter{start: at, line: line}
			}
			cut.marked = true
			cut.content = !blank(text[3:])
		case isMarker(text, "..."):
			docs = cut.take(docs, file[:end])
			cut = cutter{start: end, line: line + 1}
		case !cut.content:
			directive := !cut.marked && text[0] == '%'
			cut.content = !directive && !blank(text)
		}
		at = end
		line++
	}
	return cut.take(docs, file)
}

var newline = []byte("\n")

// lineEnd is where the line at an offset ends, with its newline.
func lineEnd(file []byte, at int) int {
	if nl := bytes.IndexByte(file[at:], '\n'); nl >= 0 {
		return at + nl + 1
	}
	return len(file)
}

// nextMarker is the start of the first line from an offset, itself the start of
// a line, that may be a marker; the end when there is none.
func nextMarker(file []byte, at int) int {
	if isMarker(file[at:lineEnd(file, at)], "---") || isMarker(file[at:lineEnd(file, at)], "...") {
		return at
	}
	next := len(file)
	if i := bytes.Index(file[at:], []byte("\n---")); i >= 0 {
		next = at + i + 1
	}
	if i := bytes.Index(file[at:next], []byte("\n...")); i >= 0 {
		next = at + i + 1
	}
	return next
}

// cutter is the document that splitYAML is in.
type cutter struct {
	start, line     int
	marked, content bool
}

func (c cutter) take(docs []Document, upTo []byte) []Document {
	if !c.content {
		return docs
	}
	return append(docs, Document{Line: c.line, Text: upTo[c.start:]})
}

func isMarker(line []byte, marker string) bool {
	if len(line) < 3 || string(line[:3]) != marker {
		return false
	}
	return len(line) == 3 || bytes.IndexByte([]byte(" \t\r\n"), line[3]) >= 0
}

// blank tells that a line holds nothing but space and a comment.
func blank(line []byte) bool {
	line = bytes.TrimLeft(line, " \t\r\n\ufeff")
	return len(line) == 0 || line[0] == '#'
}

// splitJSON cuts a stream of JSON values after each closing brace or bracket at
// the outermost level.
func splitJSON(file []byte) []Document {
	var docs []Document
	start, depth, line, first := 0, 0, 1, 1
	inString := false
	for i := 0; i < len(file); i++ {
		c := file[i]
		if c == '\n' {
			line++
		}
		switch {
		case inString:
			if c == '\\' && i+1 < len(file) && file[i+1] != '\n' {
				i++
			} else if c == '"' {
				inString = false
			}
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth <= 0 {
				docs = append(docs, Document{Line: first, Text: file[start : i+1]})
				start, first, depth = i+1, line, 0
			}
		}
	}
	if len(bytes.TrimSpace(file[start:])) > 0 {
		docs = append(docs, Document{Line: first, Text: file[start:]})
	}
	return docs
}
