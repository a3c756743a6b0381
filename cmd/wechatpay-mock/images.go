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
		return 0, nil, fmt.Errorf("the body is empty: it must be the bytes of an image")
	}
	mediaURL := c.server.AddImage("", data)
	id, err := url.PathUnescape(mediaURL[strings.LastIndex(mediaURL, "/")+1:])
	if err != nil {
		return 0, nil, err
	}
	c.images.Store(id, data)
	return http.StatusCreated, map[string]string{"media_url": mediaURL}, nil
}

// image gives an image of the user back without a signature, which a browser
// has not. The media id stands in the path as it does in a media_url, escaped,
// and escaped once more: an id with two slashes would not come through
// otherwise.
func (c *control) image(r *http.Request) (int, any, error) {
	id, err := url.PathUnescape(r.PathValue("media_id"))
	if err != nil {
		return 0, nil, fmt.Errorf("the media id %q is not escaped as in a media_url", r.PathValue("media_id"))
	}
	data, found := c.images.Load(id)
	if !found {
		return 0, nil, refuse(http.StatusNotFound, "there is no image %s of the user", id)
	}
	contentType := http.DetectContentType(data.([]byte))
	if !strings.HasPrefix(contentType, "image/") {
		contentType = "application/octet-stream"
	}
	return http.StatusOK, file{contentType, data.([]byte)}, nil
}
