package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

func (c *control) addImage(r *http.Request) (int, any, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, err
	}
	if len(data) == 0 {
		return 0, nil, fmt.Errorf("the body is empty: expected the bytes of an image")
	}
	mediaURL := c.server.AddImage("", data)
	id, err := url.PathUnescape(mediaURL[strings.LastIndex(mediaURL, "/")+1:])
	if err != nil {
		return 0, nil, err
	}
	c.images.Store(id, data)
	return http.StatusCreated, map[string]string{"media_url": mediaURL}, nil
}

// image returns an image that addImage added. It needs no signature, so that
// browsers can load it. The path contains the id as media_url escapes it,
// escaped once more: otherwise ServeMux would clean an id with two slashes.
func (c *control) image(r *http.Request) (int, any, error) {
	id, err := url.PathUnescape(r.PathValue("media_id"))
	if err != nil {
		return 0, nil, fmt.Errorf("media id %q is not escaped as in media_url", r.PathValue("media_id"))
	}
	data, found := c.images.Load(id)
	if !found {
		return 0, nil, statusErrorf(http.StatusNotFound, "image %s not found", id)
	}
	contentType := http.DetectContentType(data.([]byte))
	if !strings.HasPrefix(contentType, "image/") {
		contentType = "application/octet-stream"
	}
	return http.StatusOK, file{contentType, data.([]byte)}, nil
}
